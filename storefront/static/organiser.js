// The organiser's page: changes the sale, steers its queue, cancels an order or all of it, and follows how the money goes back.
import { Kept, ask, isOff, isUnanswered, setOff, sleep, timeText } from './common.js';
import { readSale } from './organiser-definition.js';
import { hideCodes, showCodes } from './organiser-codes.js';
import { hideFacts, showFacts } from './organiser-facts.js';
import { hideFigures, showFigures } from './organiser-figures.js';
import { hideForecast, showForecast } from './organiser-forecast.js';
import { hideImage, showImage } from './organiser-image.js';
import { tell, whyRefused } from './organiser-notice.js';
import { hideQueue, showQueue } from './organiser-queue.js';
import { hideRunning, showRunning } from './organiser-running.js';

const POLL_MS = 1000;
const POLL_AWAY_MS = 5000;

const root = document.getElementById('organiser');
const sale = root.dataset.sale;
const login = document.getElementById('login');
const cancelOrder = document.getElementById('cancel-order');
const cancelSale = document.getElementById('cancel-sale');
const trouble = document.getElementById('trouble');

// For this tab only: whoever has the token may call everything off.
const kept = new Kept('sessionStorage', 'boxoffice.organiser');
const admin = (path, method = 'GET', body = undefined, headers = {}) => ask(path, {
  method,
  headers: { Authorization: `Bearer ${kept.get() ?? ''}`, ...(body && { 'Content-Type': body instanceof Blob ? body.type : 'application/json' }), ...headers },
  body: body && (body instanceof Blob ? body : JSON.stringify(body)),
});

/** The forms over the sale's definition. */
function hideSale() {
  hideFacts();
  hideImage();
  hideCodes();
  hideRunning();
}

function showSale() {
  showFacts();
  showImage();
  showCodes(admin);
  showRunning(admin);
}

/** Says what is wrong with the page, if anything is. It is said over and over while the page asks: screen readers would repeat it. */
function say(text) {
  if (trouble.textContent !== text) tell(trouble, 'warn', text);
}

const STAGES = {
  closing: 'Not in force yet…',
  releasing: 'Holds are being given back, refunds have begun',
  refunding: 'Money is on its way back',
  finished: 'Canceled: nothing is held, sold or owed',
};

function draw(view) {
  document.getElementById('progress').hidden = false;
  cancelSale.hidden = true;
  cancelOrder.hidden = true; // all orders are being canceled
  hideQueue();
  hideForecast();
  hideSale();
  const { checkouts, orders, tickets } = view;
  const stage = document.getElementById('stage');
  if (stage.textContent !== STAGES[view.stage]) stage.textContent = STAGES[view.stage] ?? view.stage;
  const done = checkouts.canceled + orders.refunded;
  const left = checkouts.open + orders.to_refund + orders.refunding + view.late_payments;
  const bar = document.getElementById('bar');
  bar.max = Math.max(1, done + left);
  bar.value = view.finished_at ? bar.max : done;
  const counts = {
    open: checkouts.open, canceled: checkouts.canceled, to_refund: orders.to_refund, refunding: orders.refunding,
    refunded: orders.refunded, late: view.late_payments, held: tickets.held, sold: tickets.sold,
  };
  for (const [name, n] of Object.entries(counts)) root.querySelector(`[data-count="${name}"]`).textContent = n.toLocaleString('en');
  document.getElementById('times').textContent = [
    `Asked for ${when(view.started_at)}`,
    view.updated_at && `counted ${when(view.updated_at)}`,
    view.finished_at && `finished ${when(view.finished_at)}`,
  ].filter(Boolean).join(' · ');
  drawWaiting(view.waiting);
}

const when = (time) => timeText(time, { dateStyle: 'medium', timeStyle: 'medium' });

function drawWaiting(waiting) {
  document.getElementById('waits').hidden = waiting.length === 0;
  document.getElementById('waiting').replaceChildren(...waiting.map((wait) => {
    const item = document.createElement('li');
    const id = document.createElement('code');
    id.textContent = wait.workflow;
    const tries = wait.attempts ? `, try ${wait.attempts}` : '';
    item.append(id, ` since ${when(wait.since)}${tries}: ${wait.reason}`);
    return item;
  }));
}

/** Asks how far it has come. The answer: whether to go on asking. */
async function look() {
  const { status, body } = await admin(`/v1/sales/${sale}/cancel`);
  if (status === 200) {
    say('');
    login.hidden = true;
    draw(body);
    showFigures(admin);
    return !body.finished_at;
  }
  if (status === 401) {
    kept.set(null);
    login.hidden = false;
    cancelSale.hidden = cancelOrder.hidden = true;
    hideQueue();
    hideSale();
    hideFigures();
    hideForecast();
    say('This token is not the organiser’s.');
    return false;
  }
  if (status === 404) return offer();
  say('The box office does not answer right now. What was begun goes on; this page keeps trying.');
  return true;
}

/** The sale is not canceled, or not here: shows what may be done. */
async function offer() {
  const { status } = await admin(`/v1/sales/${sale}/orders?limit=1`);
  if (status === 404) {
    say('There is no such sale here, or the organiser’s routes are at another address: open this page there (BOXOFFICE_ADMIN_URL).');
    return false;
  }
  if (status !== 200) {
    say('The box office does not answer right now. This page keeps trying.');
    return true;
  }
  say('');
  login.hidden = true;
  cancelSale.hidden = cancelOrder.hidden = false;
  showFigures(admin);
  showForecast(admin);
  showQueue(admin);
  if (await readSale(admin)) showSale();
  return false;
}

async function follow() {
  if (!kept.get()) return;
  while (await look()) await sleep(trouble.hidden ? POLL_MS : POLL_AWAY_MS);
}

login.addEventListener('submit', (event) => {
  event.preventDefault();
  kept.set(document.getElementById('token').value.trim());
  document.getElementById('token').value = '';
  say('');
  follow();
});

cancelSale.addEventListener('input', () => {
  setOff(cancelSale.querySelector('button'), document.getElementById('confirm').value.trim() !== sale);
});
cancelSale.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = cancelSale.querySelector('button');
  if (isOff(button) || document.getElementById('confirm').value.trim() !== sale) return;
  setOff(button, true);
  const answer = await admin(`/v1/sales/${sale}/cancel`, 'POST');
  setOff(button, false);
  if (answer.status === 202) {
    draw(answer.body);
    await follow();
    return;
  }
  say(isUnanswered(answer)
    ? 'No answer: it may be in force or not. Press the button again, that never does it twice.'
    : whyRefused(answer.body));
});

cancelOrder.addEventListener('submit', async (event) => {
  event.preventDefault();
  const message = document.getElementById('order-message');
  const button = cancelOrder.querySelector('button');
  if (isOff(button)) return;
  setOff(button, true);
  tell(message, '', 'One moment…');
  const answer = await admin(`/v1/sales/${sale}/orders/${document.getElementById('order').value.trim()}/cancel`, 'POST');
  setOff(button, false);
  if (answer.status === 200 || answer.status === 202) tell(message, '', `The order is ${answer.body.status}.`);
  else if (isUnanswered(answer)) tell(message, 'warn', 'No answer: it may be canceled or not. Press the button again, that never does it twice.');
  else tell(message, 'bad', whyRefused(answer.body));
});

follow();
