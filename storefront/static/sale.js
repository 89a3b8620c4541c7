// The sale page: the countdown to the opening, the way into the queue where there is
// one, else the checkout.
import { Kept, ServerClock, ask, countDown, isOff, isUnanswered, localTime, say, setOff, setText, shutText, sleep, tellTrouble, tryAgainText, uuidv7 } from './common.js';
import { offerHeld } from './held.js';
import { solve } from './proof.js';
import { t } from './texts.js';

const TRY_FOR_MS = 60_000; // then the visitor decides
const BACKOFF_MAX_MS = 8000;
const STOCK_POLL_MS = 30_000; // for who has not joined: many look at this page
const OPENING_SPREAD_MS = 1000; // not all ask in the same moment
const PROOFS_MAX = 3; // a challenge may run out while a slow phone works on it

const root = document.getElementById('sale');
const sale = root.dataset.sale;
const opensAt = Date.parse(root.dataset.opens);
const opening = document.getElementById('opening');
const clock = new ServerClock(Number(root.dataset.now));
const join = document.getElementById('join');

let lookNow = null; // at the stock, where this page sells

async function reachOpening() {
  showOpen();
  await sleep(OPENING_SPREAD_MS * Math.random());
  lookNow?.();
}

function showOpen() {
  opening.hidden = true;
  if (!join) return;
  setText(document.getElementById('join-heading'), t('This sale has a queue'));
  setText(document.getElementById('join-text'), t('Join it, and you are let in by order of arrival, as fast as tickets can be sold.'));
  setText(document.getElementById('join-button'), t('Join the queue'));
}

tellTrouble(document.getElementById('trouble'));
offerHeld(clock);
localTime(document.getElementById('opens-text'), root.dataset.opens);
if (root.dataset.open !== 'true' && root.dataset.canceled !== 'true' && root.dataset.closed !== 'true' && !Number.isNaN(opensAt)) {
  const face = document.getElementById('clock');
  if ('public' in document.documentElement.dataset) ask(`/v1/sales/${sale}`).then(({ date }) => clock.correct(date)); // a cache may have kept the page
  countDown({ opensAt, clock, face, said: document.getElementById('clock-said'), opened: reachOpening });
  document.addEventListener('visibilitychange', async () => {
    if (!document.hidden) clock.correct((await ask(`/v1/sales/${sale}`)).date);
  });
}

// ---- the queue

// What the sale asks for, where it does: a presale code or an invitation, perhaps brought by the
// address behind a #, which browsers send to nobody.
const asks = document.getElementById('entitlement');
if (asks && !asks.value) asks.value = new URLSearchParams(location.hash.slice(1)).get('code') ?? new URLSearchParams(location.hash.slice(1)).get('invitation') ?? '';

// Who joins: {key, shown}. The same key with the same code has the same place, so that a lost
// answer costs nothing.
const joining = new Kept('localStorage', `boxoffice.join.${sale}`);

/** The request that joins. */
function joinRequest(proof) {
  const headers = { 'Content-Type': 'application/json' };
  const body = proof ? { proof } : {};
  const shown = asks?.value.trim();
  if (shown) {
    if (joining.get()?.shown !== shown) joining.set({ key: uuidv7(clock.now()), shown });
    headers['Idempotency-Key'] = `"${joining.get().key}"`;
    body.entitlement = shown.includes('.') ? { invitation: shown } : { presale_code: shown };
  }
  return { method: 'POST', headers, body: JSON.stringify(body) };
}

// The token of the place that this browser took.
const kept = new Kept('localStorage', `boxoffice.place.${sale}`);

/** A place that was taken before is offered instead of another one. */
async function offerKept() {
  const token = kept.get();
  if (typeof token !== 'string' || !/^[\w-]{16,200}$/.test(token)) return;
  const { status } = await ask(`/v1/queue/${token}`);
  if (status === 404) {
    kept.set(null);
    return;
  }
  document.getElementById('kept').hidden = false;
  document.getElementById('kept-link').href = `/queue/${token}`;
  document.getElementById('join-row').hidden = true;
  if (asks) asks.parentElement.hidden = true;
}

document.getElementById('kept-drop')?.addEventListener('click', (event) => {
  event.preventDefault(); // without a script it is the form
  kept.set(null);
  document.getElementById('kept').hidden = true;
  document.getElementById('join-row').hidden = false;
  if (asks) asks.parentElement.hidden = false;
  document.getElementById('join-button').focus(); // the pressed one is gone
});

const tell = (kind, heading, text) => say(document.getElementById('join-message'), kind, heading, text);

/** The proof that the box office asks for, null if it asks for none, undefined if it gave no answer. */
async function prove() {
  const { status, body } = await ask(`/v1/sales/${sale}/queue/challenge`);
  if (status === 204 || status === 404) return null;
  if (status !== 200) return undefined;
  tell('', t('One moment: checking that you are not a program'), t('Your browser works on a small riddle. On a phone that takes a few seconds.'));
  const solution = await solve(body.challenge, body.difficulty_bits);
  tell('', '');
  return { challenge: body.challenge, solution };
}

async function takePlace() {
  if (asks && !asks.value.trim()) { // the riddle would be for nothing
    refuse({ code: 'entitlement_required', body: {} });
    return false;
  }
  const elsewhere = new Kept('localStorage', `boxoffice.place.${sale}`).get(); // another tab of this browser was faster
  if (elsewhere && elsewhere !== kept.get()) {
    location.assign(`/queue/${elsewhere}`);
    return true;
  }
  const until = performance.now() + TRY_FOR_MS;
  let wait = 500;
  let proofs = 0;
  for (;;) {
    const proof = await prove();
    let answer = { status: 0, code: '', body: {}, retryAfter: 0 };
    if (proof !== undefined) {
      answer = await ask(`/v1/sales/${sale}/queue`, joinRequest(proof));
    }
    if (answer.status === 201) {
      kept.set(answer.body.token);
      location.assign(`/queue/${answer.body.token}`);
      return true;
    }
    const mayRepeat = isUnanswered(answer) || ['rate_limited', 'request_timeout'].includes(answer.code);
    const staleProof = answer.code === 'proof_required' && ++proofs < PROOFS_MAX;
    if (!mayRepeat && !staleProof) {
      refuse(answer);
      return false;
    }
    if (performance.now() > until) break;
    if (answer.code === 'rate_limited') tell('warn', t('One moment'), t('There were too many tries from your connection just now. This page tries again by itself.'));
    else if (mayRepeat) tell('warn', t('Still asking…'), t('Very many people are joining right now. This page keeps asking by itself.'));
    await sleep(Math.max(answer.retryAfter, wait * (0.5 + Math.random())));
    wait = Math.min(wait * 2, BACKOFF_MAX_MS);
  }
  tell('warn', t('No answer yet'), t('You have no place yet. Please press the button again.'));
  return false;
}

function refuse({ code, body }) {
  switch (code) {
    case 'sold_out':
      tell('bad', t('Sold out'), t('All tickets of this sale are sold.'));
      break;
    case 'entitlement_required':
      tell('warn', t('This sale asks for a presale code or an invitation'), t('You have it from the organiser. Without one nobody gets a place here.'));
      asks?.focus();
      break;
    case 'entitlement_refused':
      tell('bad', t('This code or invitation is not known here'), t('Please check it letter by letter. Perhaps it is for another sale, or the organiser has withdrawn it. You have no place yet.'));
      asks?.focus();
      break;
    case 'entitlement_expired':
      tell('bad', t('This invitation has run out'), t('It was good until a certain time. You have no place. Please ask the organiser.'));
      break;
    case 'entitlement_spent':
      tell('bad', t('This code or invitation was used already'), t('All places that it is good for are taken. If it was you, your place is in the browser that you took it with, or at the address that you kept.'));
      break;
    case 'queue_full':
      tell('warn', t('The queue is full'), t('Far more people wait than there are tickets. You have no place. There is room again once the sale is open and those who left are passed: please try again then.'));
      break;
    case 'sale_closed':
      tell('bad', t('This sale is closed'), t('It takes no more orders.'));
      break;
    case 'sale_canceled':
      tell('bad', t('This sale is canceled'), t('The organiser called it off.'));
      break;
    case 'proof_required':
      tell('bad', t('The check did not work'), t('Your browser could not prove that you are not a program. Please try again, or another browser.'));
      break;
    case 'not_found':
      tell('bad', t('This sale is over'), '');
      break;
    default:
      tell('bad', t('Something went wrong'), `${t('You have no place yet.')} ${tryAgainText(body)}`);
  }
}

/** What is left, for who considers joining. */
async function followStock() {
  const rows = [...root.querySelectorAll('.class')];
  for (let wait = 0; ;) {
    await sleep(Math.max(wait, STOCK_POLL_MS * (0.8 + 0.4 * Math.random())));
    if (document.hidden) continue;
    const { status, body, date, retryAfter } = await ask(`/v1/sales/${sale}`);
    wait = retryAfter;
    if (status !== 200) continue;
    clock.correct(date);
    document.getElementById('canceled').hidden = !body.canceled_at;
    document.getElementById('interrupted').hidden = !body.interrupted || !body.open;
    document.getElementById('closed').hidden = body.state !== 'closed';
    join.hidden = Boolean(body.canceled_at) || body.state === 'closed';
    for (const { class: name, available, held, capacity, open, opens_at: opensAt } of body.classes) {
      const row = rows.find((r) => r.dataset.class === name);
      if (!row) continue;
      row.classList.toggle('out', !open || available <= 0);
      row.querySelector('progress').value = available;
      setText(row.querySelector('.stock'), !open ? shutText(opensAt, clock.now()) : available > 0 ? t('%d of %d left', available, capacity) : held > 0 ? t('All on hold, %d may come back', held) : t('Sold out'));
    }
  }
}

if (join) {
  const button = document.getElementById('join-button');
  join.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (isOff(button)) return;
    setOff(button, true);
    setOff(button, await takePlace());
  });
  window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
  offerKept();
  followStock();
} else if (document.getElementById('checkout')) {
  import('./checkout.js').then(({ startCheckout }) => { lookNow = startCheckout({ opened: showOpen }); });
}
