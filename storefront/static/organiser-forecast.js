// How many people will come to a sale with a waiting room, on the organiser's page.
import { number, setText, sleep, timeText } from './common.js';

const POLL_MS = 30_000;

const panel = document.getElementById('forecast');
const sale = document.getElementById('organiser').dataset.sale;

let admin = null;
let following = false;

/** Shows the panel, where there is something to say, and goes on asking. `asAdmin` asks with the organiser's token. */
export function showForecast(asAdmin) {
  admin = asAdmin;
  if (!following) follow();
}

export function hideForecast() {
  following = false;
  panel.hidden = true;
}

async function follow() {
  following = true;
  while (following) {
    if (!document.hidden) await look();
    await sleep(POLL_MS);
  }
}

async function look() {
  const { status, body } = await admin(`/v1/sales/${sale}/forecast`);
  if (!following) return;
  if (status === 404) hideForecast(); // no waiting room, or no opening
  if (status !== 200) return; // what is shown says when it was read
  panel.hidden = false;
  setText(document.getElementById('forecast-buyers'), buyers(body));
  setText(document.getElementById('forecast-basis'), basis(body));
}

function buyers({ buyers: range, sales, sales_needed: needed, tickets }) {
  if (!range) return `No forecast: it takes ${number(needed)} past sales with waiting rooms, and there ${sales === 1 ? 'is' : 'are'} ${number(sales)}.`;
  return `Some ${number(rounded(range.typical))} people will come, for ${number(tickets)} ticket${tickets === 1 ? '' : 's'}. `
    + `Nine of ten sales like the past ones have ${number(rounded(range.low))} to ${number(rounded(range.high))}.`;
}

function basis(view) {
  const joined = `${number(view.joined)} joined ${view.until_opening_seconds > 0 ? 'so far' : 'before the opening'}.`;
  const parts = [joined];
  if (view.method !== 'none') {
    const off = view.method === 'joins' ? view.error_by_joins : view.error_by_past_sales;
    const how = view.method === 'joins' ? 'by how many had joined as long before the opening' : 'by how many came; how many have joined is not used';
    parts.push(`From ${number(view.sales)} past sales, ${how}. About each of them a forecast from the others was off by a factor of ${off.toFixed(1)} in the middle.`);
  }
  if (view.beyond_past_sales) parts.push('No past sale had as many or as few at this time, so trust it less.');
  parts.push(`Read ${timeText(view.at, { timeStyle: 'medium' })}.`);
  return parts.join(' ');
}

/** Two digits: it is a forecast. */
function rounded(n) {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(n, 1))) - 1);
  return Math.round(n / step) * step;
}
