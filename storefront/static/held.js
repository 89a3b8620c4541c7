// What this browser has on hold in a sale: offered to whoever comes back to one of its pages.
import { HeldOrders, ask, calledOf, isOff, money, number, say, setOff, timeText } from './common.js';
import { t } from './texts.js';

const AGAIN_MIN_MS = 5000; // after a hold's deadline

const root = document.querySelector('[data-sale]');
const orders = new HeldOrders(root.dataset.sale);
const notice = document.getElementById('held');
const message = document.getElementById('held-message');

let timer = 0;
let clock = null;
let changed = () => {};

/** How many tickets are on hold, as far as this page knows. */
export let heldTickets = 0;

/** Offers the orders that wait for their payment, for as long as they do. */
export function offerHeld(serverClock) {
  clock = serverClock;
  document.addEventListener('visibilitychange', () => { if (!document.hidden) lookForHeld(); });
  lookForHeld();
}

/** Calls back whenever heldTickets may have changed. */
export function onHeld(callback) {
  changed = callback;
}

export async function lookForHeld() {
  const found = [];
  for (const { order, token } of orders.list()) {
    const { status, body, date } = await ask(`/v1/orders/${order}`, { headers: { Authorization: `Bearer ${token}` } });
    clock.correct(date);
    if (status === 200 && body.status === 'held' && body.sale === root.dataset.sale) found.push({ token, ...body });
    else if (status === 200 || status === 404) orders.drop(order);
  }
  const until = Math.min(...found.map(({ hold_expires_at: at }) => Date.parse(at)));
  clearTimeout(timer);
  if (found.length > 0) timer = setTimeout(lookForHeld, Math.max(AGAIN_MIN_MS, until - clock.now()));
  const offers = found.map(offer);
  if (notice.textContent !== offers.map(({ textContent }) => textContent).join('')) notice.replaceChildren(...offers);
  notice.hidden = found.length === 0;
  heldTickets = found.reduce((sum, { items }) => items.reduce((n, { quantity }) => n + quantity, sum), 0);
  changed();
}

function offer({ order, token, items, amount, currency, hold_expires_at: until }) {
  const shown = document.getElementById('held-order').content.firstElementChild.cloneNode(true);
  shown.querySelector('strong').textContent = t('You have tickets on hold until %s', timeText(until, { timeStyle: 'short' }));
  shown.querySelector('.held-lines').textContent = `${items.map((item) => `${number(item.quantity)} × ${calledOf(item)}`).join(', ')} · ${money(amount, currency)}`;
  shown.querySelector('a').href = `/orders/${order}#${token}`;
  shown.querySelector('button').addEventListener('click', async ({ currentTarget: button }) => {
    if (isOff(button) || !window.confirm(t('Give these seats back?'))) return;
    setOff(button, true);
    const { status, code } = await ask(`/v1/orders/${order}/cancel`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
    setOff(button, false);
    if (code === 'already_paid' || code === 'payment_processing') {
      location.assign(shown.querySelector('a').href);
    } else if (status !== 200 && status !== 404) {
      say(message, 'warn', t('The cancellation did not come through'), t('Please try again.'));
    } else {
      orders.drop(order);
      say(message, '', t('The seats are given back'), t('You can choose anew.'));
      message.focus(); // the pressed button goes
      await lookForHeld();
    }
  });
  return shown;
}
