// The sale as the organiser's page knows it. Every change names the version that it was made to (If-Match), so what
// somebody else has changed meanwhile is seen before anything is written over.

import { isUnanswered } from './common.js';
import { whyRefused } from './organiser-notice.js';

const sale = document.getElementById('organiser').dataset.sale;
const CHANGES_MAX = 3; // the version also counts what none of the forms shows: end, capacity

let admin = null; // asks as the organiser
let view = null; // as it was read last
const listeners = []; // hear the sale as it is now, and name what of theirs changed since it was read last

/** `hears` is called with the sale at first and after every change; it answers the names of what somebody else changed in what it shows. */
export const onSale = (hears) => { listeners.push(hears); };

export const definition = () => view;

/** Takes the sale as an answer has it. */
function adopt(now) {
  view = now;
  return listeners.flatMap((hears) => hears(view) ?? []);
}

/** Reads the sale. The answer: what somebody else changed meanwhile; null if the box office does not say. */
export async function readSale(asOrganiser = admin) {
  admin = asOrganiser;
  const { status, body } = await admin(`/v1/sales/${sale}/definition`);
  return status === 200 ? adopt(body) : null;
}

/**
 * Changes the sale. `make` answers the request – method, path under the sale, body – for the sale as it is known then, and
 * `kept` is called once it is done. The answer of the box office comes back; with `news`, the names of what somebody
 * else changed, nothing was changed. It is null if nothing is left to change.
 */
export async function changeSale(make, kept = () => {}) {
  let answer = null;
  for (let i = 0; i < CHANGES_MAX; i++) {
    const request = make();
    if (!request) return answer && { status: 200, body: view };
    answer = await admin(`/v1/sales/${sale}${request.path ?? ''}`, request.method, request.body, { 'If-Match': `"${view.version}"` });
    if (answer.status === 200) {
      kept();
      adopt(answer.body);
      return answer;
    }
    if (answer.code !== 'changed') return answer;
    const news = await readSale();
    if (news === null) return { status: 0, code: '', body: {} };
    if (news.length > 0) return { ...answer, news };
  }
  return answer;
}

/** Says in words why a change was not made. `names` says what people call a field of the body. */
export function refusalText(answer, names = () => '') {
  const { code, body, news } = answer;
  if (news) {
    return `Somebody else has changed this sale meanwhile: ${news.join(', ')}. Nothing of yours is saved yet, and what you typed is still here. ` +
      'Press the button again to save it.';
  }
  if (isUnanswered(answer)) return 'No answer: it may be saved or not. Press the button again, that does no harm.';
  if (code === 'changed') return 'The sale is being changed all the time. Press the button again.';
  const wrong = (body.errors ?? []).map(({ field, message }) => `${names(field) || field} ${message}.`);
  return wrong.length > 0 ? wrong.join(' ') : whyRefused(body);
}
