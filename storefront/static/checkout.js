// The checkout form: live stock, and a key that survives a reload. The sale page
// has it, and the page of a place in a queue once that is let in.
import { HeldOrders, Kept, ServerClock, Stream, ask, capital, isOff, isUnanswered, money, say as sayIn, setOff, setText, shutText, sleep, tryAgainText, uuidv7 } from './common.js';
import { heldTickets, lookForHeld, onHeld } from './held.js';
import { LANGUAGE, t } from './texts.js';

const POLL_MS = 5000; // where events do not come through
const CODE_POLL_MS = 20_000; // for classes that a code opens
const TRY_FOR_MS = 60_000; // then the buyer decides
const BACKOFF_MAX_MS = 8000;
const SAY_STOCK_SOON_MS = 1000; // what changes together is said together
const SAY_STOCK_EVERY_MS = 10_000; // who listens hears what matters, not every ticket

const root = document.querySelector('[data-sale]');
const sale = root.dataset.sale;
const currency = root.dataset.currency;
const limit = Number(root.dataset.limit);
const form = document.getElementById('checkout');
const buy = document.getElementById('buy');
const message = document.getElementById('message');
const standing = document.getElementById('standing');
const rejoin = document.getElementById('rejoin');
const stockSaid = document.getElementById('stock-said');
const rows = [...form.querySelectorAll('.class')];
const clock = new ServerClock(Number(root.dataset.now));

// The try under way: {key, body, place}. Kept until a final answer, so that a reload,
// a lost connection or a 503 repeats the same key and never buys twice.
const pending = new Kept('sessionStorage', `boxoffice.try.${sale}`);

let open = root.dataset.open === 'true';
let canceled = root.dataset.canceled === 'true';
let closed = root.dataset.closed === 'true';
let busy = false;
let wasShort = false; // the last try was refused for want of tickets
let preparing = false; // the turn has not come: the form is filled in and nothing is sent
let place = ''; // the queue's token that lets this checkout in; empty where there is no queue
let hooks = {};

// What is filled in while one waits: {quantities, email, at}. In this browser only, until it is ordered.
const BASKET_LIFE_MS = 3 * 86_400_000;
const basket = new Kept('localStorage', `boxoffice.basket.${sale}`);

/**
 * Lets the form be filled in before the turn, and takes that back when it comes. What was
 * filled in before is put in again.
 * @returns {boolean} whether there is something to be ordered
 */
export function setPreparing(on) {
  preparing = on;
  document.getElementById('preparing').hidden = !on;
  form.classList.toggle('preparing', on);
  recall();
  refresh();
  return rows.some((row) => quantityOf(row) > 0);
}

/** Fills in what was kept, where the form says nothing else. */
function recall() {
  const kept = basket.get();
  if (!kept) return;
  if (!(clock.now() - kept.at < BASKET_LIFE_MS)) {
    dropBasket();
    return;
  }
  const { email } = form.elements;
  if (!email.value && typeof kept.email === 'string') email.value = kept.email;
  if (rows.some((row) => quantityOf(row) > 0)) return;
  for (const row of rows) {
    const n = Number(kept.quantities?.[row.dataset.class]);
    if (Number.isInteger(n) && n > 0 && n <= limit) row.querySelector('input').value = n;
  }
}

/** Keeps what is filled in, on the page of a place. */
function remember() {
  if (!preparing && !place) return;
  const quantities = Object.fromEntries(rows.filter((row) => quantityOf(row) > 0).map((row) => [row.dataset.class, quantityOf(row)]));
  basket.set({ quantities, email: form.elements.email.value.trim(), at: clock.now() });
}

/** There is nothing to be ordered any more. */
export const dropBasket = () => basket.set(null);

/**
 * Brings the form to life, once.
 * @param {{place?: string, shut?: () => void, opened?: () => void, canceled?: () => void}} options
 *   place: the queue's token. shut: the door is not open for it yet. opened, canceled: what the live stock says of the sale.
 * @returns {() => Promise<number>} looks at the stock now
 */
export function startCheckout(options = {}) {
  hooks = options;
  place = options.place ?? '';
  if (place) open = true; // nobody is let in before the opening
  const left = pending.get(); // this page was left before the answer came
  if (left && (left.place ?? '') !== place) pending.set(null);
  if (!place && basket.get()?.again) recall(); // back from an order that came to nothing
  refresh();
  for (const row of rows) standingSaid.set(row, standingOf(row));
  const look = watchStock();
  onHeld(refresh);
  // Back from the order: the browser may show this page as it was left, waiting.
  window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
  if (pending.get()) checkout();
  if (rows.some(isHidden)) followHidden();
  return look;
}

// ---- stock

function showStock(view) {
  if (view.open && !open) hooks.opened?.();
  open = view.open;
  canceled = Boolean(view.canceled_at);
  closed = view.state === 'closed';
  if (canceled) hooks.canceled?.();
  const notice = document.getElementById('canceled');
  if (notice) notice.hidden = !canceled;
  const closedNotice = document.getElementById('closed');
  if (closedNotice) closedNotice.hidden = !closed;
  form.hidden = (canceled || closed) && !busy;
  // No button is taken away: the first checkout that goes through is what ends it.
  document.getElementById('interrupted').hidden = !view.interrupted || !open;
  showClasses(view.classes);
  if (view.perk) {
    setText(document.getElementById('perk-left'), ` · ${view.perk.available > 0 ? t('%d left', view.perk.available) : t('all gone')}`);
  }
  refresh();
  if (wasShort && !busy) say(...shortage());
}

function showClasses(classes) {
  for (const { class: name, capacity, held, available, open: isSold, opens_at: opensAt, max_per_order: max } of classes) {
    const row = rows.find((r) => r.dataset.class === name);
    if (!row) continue;
    row.dataset.available = available;
    row.dataset.held = held;
    row.dataset.max = max ?? '';
    row.dataset.shut = isSold ? '' : shutText(opensAt, clock.now());
    row.querySelector('progress').value = available;
    setText(row.querySelector('.stock'), canceled ? t('Canceled') : row.dataset.shut || stockText(available, held, capacity));
  }
}

// ---- hidden classes

/** The code that opens the hidden classes of this page; empty: none. */
const code = form.elements.code?.value ?? '';
const isHidden = (row) => row.dataset.hidden === 'true';

/** The live stock is everybody's: what the code opens is asked for now and then. */
async function lookAtHidden() {
  const { status, body } = await ask(`/v1/sales/${sale}/code`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code }) });
  if (status !== 200) return;
  showClasses(body.classes);
  refresh();
  if (wasShort && !busy) say(...shortage());
}

async function followHidden() {
  for (;;) {
    await sleep(CODE_POLL_MS * (0.8 + 0.4 * Math.random()));
    if (!document.hidden) await lookAtHidden();
  }
}

function stockText(available, held, capacity) {
  if (available > 0) return t('%d of %d left', available, capacity);
  if (held > 0) return t('All on hold, %d may come back', held);
  return t('Sold out');
}

/** Answers a function that asks at once, for who knows that something has changed. */
function watchStock() {
  const stream = new Stream(`/v1/sales/${sale}/events`, 'stock', showStock);
  const look = async () => {
    const { status, body, date, retryAfter } = await ask(`/v1/sales/${sale}`);
    clock.correct(date);
    if (status === 200) showStock(body);
    return retryAfter;
  };
  (async () => {
    for (let wait = place ? await look() : 0; ;) { // a queue's page may be as old as the wait was long
      await sleep(Math.max(wait, POLL_MS * (0.8 + 0.4 * Math.random())));
      wait = stream.live || document.hidden ? 0 : await look();
    }
  })();
  return look;
}

// What was last said of each class to who listens, and when they may hear the next.
const standingSaid = new Map();
let sayStockTimer = 0;
let stockSaidAt = -Infinity;

/** How a class stands for this buyer, in words; empty while there are tickets. */
function standingOf(row) {
  if (row.dataset.shut) return t('not on sale');
  const available = stockOf(row);
  if (available <= 0) return Number(row.dataset.held) > 0 ? t('all on hold, some may come back') : t('sold out');
  return available < quantityOf(row) ? t('fewer left') : '';
}

/** Says what became of the classes since it was last said, all at once and not often. */
function announceStock() {
  if (sayStockTimer) return;
  if (rows.every((row) => standingSaid.get(row) === standingOf(row))) return;
  sayStockTimer = setTimeout(() => {
    sayStockTimer = 0;
    stockSaidAt = performance.now();
    const news = rows.filter((row) => standingSaid.get(row) !== standingOf(row));
    for (const row of news) standingSaid.set(row, standingOf(row));
    if (rows.every((row) => stockOf(row) <= 0)) return; // the notice of the whole sale says it
    setText(stockSaid, news.map((row) => `${capital(row.dataset.called)}: ${standingOf(row) || t('tickets are there')}.`).join(' '));
  }, Math.max(SAY_STOCK_SOON_MS, stockSaidAt + SAY_STOCK_EVERY_MS - performance.now()));
}

// ---- the form

const stockOf = (row) => (row.dataset.shut && !preparing ? 0 : preparing || row.dataset.available === '' ? Infinity : Number(row.dataset.available));
/** How many tickets of a class one order may have. */
const maxOf = (row) => Math.min(limit, Number(row.dataset.max) || limit);
const quantityOf = (row) => (/^\s*\d{1,3}\s*$/.test(row.querySelector('input').value) ? Number(row.querySelector('input').value) : 0);
/** Whether one more of a class may be chosen. */
const mayAdd = (row) => !busy && quantityOf(row) < Math.min(stockOf(row), maxOf(row)) && rows.reduce((n, some) => n + quantityOf(some), 0) < limit;

function refresh() {
  let tickets = 0;
  let total = 0;
  for (const row of rows) {
    tickets += quantityOf(row);
    total += quantityOf(row) * Number(row.dataset.price);
  }
  for (const row of rows) {
    const n = quantityOf(row);
    const out = stockOf(row) <= 0;
    row.classList.toggle('out', out);
    const input = row.querySelector('input');
    input.disabled = false; // as the page may have come: what is disabled loses the keyboard
    input.readOnly = busy || (out && n === 0);
    setOff(row.querySelector('[data-step="1"]'), !mayAdd(row));
    setOff(row.querySelector('[data-step="-1"]'), busy || n === 0);
  }
  const allOut = rows.length > 0 && rows.every((row) => row.classList.contains('out'));
  setText(document.getElementById('total'), money(total, currency));
  // A try whose answer never came may itself hold what is missing: it may always be repeated.
  const short = !pending.get() && shortRows().length > 0;
  setOff(buy, busy || preparing || !open || tickets === 0 || tickets > limit || short || tooMany());
  setText(buy, buttonText(tickets, short, allOut, total === 0));
  showStanding(allOut);
  announceStock();
}

/** The classes of which fewer are left than are wished for. */
const shortRows = () => rows.filter((row) => quantityOf(row) > Math.max(0, stockOf(row)));
/** Whether a class is not on sale by its own window. */
const someShut = () => rows.some((row) => row.dataset.shut);
/** A class of which more are wished for than one order may have. */
const tooMany = () => rows.find((row) => quantityOf(row) > maxOf(row));
const heldOf = (some) => some.reduce((sum, row) => sum + Number(row.dataset.held || 0), 0);

function buttonText(tickets, short, allOut, isFree) {
  if (busy) return t('Holding your seats…');
  if (canceled) return t('Canceled');
  if (closed) return t('Closed');
  if (preparing) return t('It is not your turn yet');
  if (!open) return t('Not open yet');
  if (allOut && (short || tickets === 0) && someShut()) return t('Nothing on sale right now');
  if (allOut && (short || tickets === 0)) return heldOf(rows) > 0 ? t('None left right now') : t('Sold out');
  if (short) return heldOf(shortRows()) > 0 ? t('Not enough left right now') : t('Not enough left');
  if (tickets > limit) return t('At most %d a person', limit);
  if (tooMany()) return t('At most %d of %s', maxOf(tooMany()), tooMany().dataset.called);
  if (tickets === 0) return t('Choose tickets');
  if (isFree) return heldTickets > 0 ? t('Get %d more free tickets', tickets) : t('Get %d free tickets', tickets);
  return heldTickets > 0 ? t('Hold %d more tickets', tickets) : t('Hold %d tickets', tickets);
}

const say = (kind, heading, text = '', where = message) => sayIn(where, kind, heading, text);

/** Tells "all held, some may come back" from "sold out for good". */
function showStanding(allOut) {
  if (!allOut || !open) say('', '', '', standing);
  else if (someShut()) say('warn', t('Nothing is on sale right now'), t('See when each class is sold.'), standing);
  else if (heldOf(rows) > 0) say('warn', t('Every ticket that is left is on hold'), t('Some may come back: stay on this page, the numbers are live.'), standing);
  else say('bad', t('Sold out'), t('All tickets of this sale are sold.'), standing);
}

/** One ticket more or less of a class; says why where that cannot be. */
function step(row, by) {
  if (busy) return;
  if (by > 0 && !mayAdd(row)) {
    setText(stockSaid, quantityOf(row) >= stockOf(row) ? t('No more tickets of %s are left.', row.dataset.called)
      : quantityOf(row) >= maxOf(row) && maxOf(row) < limit ? t('At most %d tickets of %s an order.', maxOf(row), row.dataset.called) : t('At most %d tickets a person.', limit));
    return;
  }
  row.querySelector('input').value = Math.max(0, quantityOf(row) + by);
  refresh();
  remember();
  forget();
}

form.addEventListener('click', (event) => {
  const button = event.target.closest('.step');
  if (button) step(button.closest('.class'), Number(button.dataset.step));
});
form.addEventListener('keydown', (event) => {
  const row = event.target.closest('.class');
  const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!row || !by || !event.target.matches('input')) return;
  event.preventDefault();
  step(row, by);
});
// Before the browser checks the fields: there is nothing to be sent.
buy.addEventListener('click', (event) => { if (isOff(buy)) event.preventDefault(); });

/** Another wish: what was said about the last one is no longer true. */
function forget() {
  if (busy || pending.get()) return;
  wasShort = false;
  say('', '');
}
rejoin.addEventListener('click', async (event) => {
  const link = event.target.closest('a');
  if (!link) return;
  event.preventDefault();
  await dropPlace(); // else the sale's page would offer this one
  location.assign(link.href);
});
form.addEventListener('input', refresh);
form.addEventListener('input', remember);
form.addEventListener('input', forget);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (busy || isOff(buy)) return;
  const body = JSON.stringify({
    items: rows.filter((row) => quantityOf(row) > 0).map((row) => ({ class: row.dataset.class, quantity: quantityOf(row) })),
    buyer: { email: form.elements.email.value.trim() },
    metadata: { language: LANGUAGE }, // for the mails
    ...(rows.some((row) => isHidden(row) && quantityOf(row) > 0) && { code }),
  });
  // The same wish goes on with its key; another wish is another order.
  if (pending.get()?.body !== body) pending.set({ key: uuidv7(clock.now()), body, place });
  checkout();
});

/** This browser's place has served: it is not offered again. The cookie of it only the server can take back. */
function dropPlace() {
  new Kept('localStorage', `boxoffice.place.${sale}`).set(null);
  new Kept('localStorage', `boxoffice.join.${sale}`).set(null);
  return fetch(`/sales/${sale}/queue`, { method: 'POST', body: new URLSearchParams({ leave: '1' }), keepalive: true }).catch(() => {});
}

// ---- the checkout

/** Nothing is decided yet: the same key must be asked again. */
function isOpenEnded(answer) {
  return isUnanswered(answer) || ['in_flight', 'rate_limited', 'request_timeout'].includes(answer.code);
}

async function checkout() {
  busy = true;
  wasShort = false;
  say('', '');
  rejoin.hidden = true;
  refresh();
  const { key, body } = pending.get();
  const until = performance.now() + TRY_FOR_MS;
  let wait = 500;
  for (;;) {
    const answer = await ask(`/v1/sales/${sale}/checkouts`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': `"${key}"`, ...(place && { 'Queue-Token': place }) },
      body,
    });
    if (!isOpenEnded(answer)) return finish(answer);
    if (performance.now() > until) break;
    say('warn', t('Still asking…'), t('Many people are buying right now. Your request stays the same one: you cannot buy twice by waiting.'));
    await sleep(Math.max(answer.retryAfter, wait * (0.5 + Math.random())));
    wait = Math.min(wait * 2, BACKOFF_MAX_MS);
  }
  busy = false;
  refresh();
  say('warn', t('No answer yet'), t('We do not know whether your seats are held. Press the button again: it repeats the same order and never a second one.'));
}

function finish(answer) {
  pending.set(null);
  if (answer.status === 201) {
    const { order, token, hold_expires_at: expires } = answer.body;
    clock.correct(answer.date);
    new Kept('localStorage', `boxoffice.order.${order}`).set({ token, heldFor: Date.parse(expires) - clock.now(), email: form.elements.email.value.trim() });
    new HeldOrders(sale).add({ order, token }); // who comes back finds it again
    dropBasket();
    if (place) dropPlace();
    location.assign(`/orders/${order}#${token}`);
    return;
  }
  busy = false;
  if (answer.code === 'queue_required' && hooks.shut) {
    refresh();
    say('warn', t('The door is not open for you yet'), t('One moment, and press the button again.'));
    hooks.shut();
    return;
  }
  rejoin.hidden = !place || answer.code !== 'key_reused'; // a refusal takes nothing: the place can still be used
  wasShort = answer.code === 'sold_out';
  const own = answer.body.own_order; // what this browser holds, where it has no other memory of it
  if (own) {
    new HeldOrders(sale).add(own);
    lookForHeld();
  }
  refresh();
  say(...refusal(answer));
  if (wasShort && rows.some(isHidden)) lookAtHidden();
}

/** Perhaps this buyer's own are among them. */
const onHold = (n) => ['warn', t('Not enough left right now'), t('On hold for a payment: %d tickets. Some may come back: stay on this page, the numbers are live.', n)];

/** How it stands, by the live numbers, after a try that was refused for want of tickets. */
function shortage() {
  const short = shortRows();
  if (short.length === 0) return ['', t('Tickets are there again'), t('Press the button to try once more.')];
  const held = heldOf(short);
  return held > 0
    ? onHold(held)
    : ['bad', t('Not enough left'), t('Choose fewer tickets, or another class.')];
}

function refusal({ code, body }) {
  switch (code) {
    case 'sold_out':
      return body.held > 0
        ? onHold(body.held)
        : ['bad', t('Sold out'), t('Fewer tickets are left than you asked for.')];
    case 'limit_reached':
      return ['bad', t('That is more than one person may have'), limitText()];
    case 'sale_canceled':
      return ['bad', t('This sale is canceled'), t('The organiser called it off while you were buying. Nothing is held and nothing was charged.')];
    case 'sale_closed':
      return ['bad', t('This sale is closed'), t('It takes no more orders. What is on hold already can still be paid.')];
    case 'class_not_open':
      return ['warn', t('Not all of it is on sale yet'), t('One of the classes that you chose is sold later: choose another, or come back.')];
    case 'class_closed':
      return ['bad', t('Not all of it is on sale any more'), t('One of the classes that you chose is no longer sold: choose another.')];
    case 'max_per_order':
      return ['bad', t('Too many tickets of one class'), t('An order may have fewer tickets of that class: choose fewer.')];
    case 'not_open':
      return ['warn', t('Not open yet'), t('This sale opens later.')];
    case 'class_code_refused':
      return ['bad', t('This code is not known here'), t('Please check it letter by letter. Perhaps it is for another sale.')];
    case 'class_code_spent':
      return ['bad', t('This code was used already'), t('Nothing is held. If an order that waits for its payment has it, it may be good again later.')];
    case 'invalid':
      return ['bad', t('Please check what you entered'), invalidText(body.errors?.[0]?.field ?? '')];
    case 'not_found':
      return ['bad', t('This sale is over'), ''];
    case 'queue_required':
      return ['warn', t('This sale has a queue'), t('Join the queue from the sale’s page.')];
    case 'key_reused':
      return place
        ? ['bad', t('This place was used already'), t('It is good for one order.')]
        : ['warn', t('This order was sent before'), t('Nothing more is held. Press the button again for another order.')];
    default:
      return ['bad', t('Something went wrong'), `${t('Nothing is held.')} ${tryAgainText(body)}`];
  }
}

/** Why an order is more than one person may have. */
function limitText() {
  if (heldTickets > 0) return t('You have %d tickets on hold already, see above: pay for them, or cancel that order to choose anew.', heldTickets);
  if (root.dataset.singleOrder === 'true') return t('At most %d tickets a person, and one order at a time: pay for the open one, or cancel it.', limit);
  return t('At most %d tickets a person, those that still wait for a payment included.', limit);
}

/** Agrees with invalidText in Go. */
function invalidText(field) {
  if (field.includes('email')) return t('The e-mail address cannot be right.');
  if (field.includes('items')) return t('Choose at least one ticket, and no more than one person may have.');
  return t('Something in it cannot be right.');
}

form.dataset.live = 'true'; // its buttons work from here on
