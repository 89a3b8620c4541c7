// The order page: follows an order from its hold to its ending.
import { HeldOrders, Kept, ServerClock, ask, calledOf, eventText, isOff, money, number, say as sayIn, setOff, setText, sleep, timeText, titledOf } from './common.js';
import { t } from './texts.js';

const POLL_MIN_MS = 1500;
const POLL_MAX_MS = 30_000;
const ASK_MAX_MS = 15_000;
const SOON_SECONDS = 60;

const root = document.getElementById('order');
const id = root.dataset.order;
const trouble = document.getElementById('trouble');
const clock = new ServerClock(Number(root.dataset.now));

// The token stands in the address's fragment, which browsers never send. It is kept
// too. The way back from paying has a key in its place that is worth the token for a
// day: the payment may have ended in a browser that knows nothing of this order.
const kept = new Kept('localStorage', `boxoffice.order.${id}`);
const fragment = location.hash.slice(1);
const headers = {};

let token = '';

function use(found) {
  token = found;
  headers.Authorization = `Bearer ${token}`;
  if (location.hash !== `#${token}`) history.replaceState(history.state, '', `#${token}`); // so that the address can be kept
}

/** Finds the token: in the address, by the key of the way back, else what this browser kept. The answer: whether there is one. */
async function findToken() {
  if (/^[\w-]{16,64}$/.test(fragment)) {
    use(fragment);
    return true;
  }
  const back = /^back=([\w-]{16,64})$/.exec(fragment);
  if (back) wentToPay();
  for (let wait = POLL_MIN_MS; back; wait = Math.min(wait * 1.5, POLL_MAX_MS)) {
    const { status, body } = await ask(`/v1/orders/${id}/token`, { method: 'POST', headers: { Authorization: `Bearer ${back[1]}` } });
    if (status === 200) {
      use(body.token);
      return true;
    }
    if (status === 404) break; // too old
    say(t('We cannot reach the box office right now. Your order is safe; this page keeps trying.'));
    await sleep(wait * (0.8 + 0.4 * Math.random()));
  }
  if (kept.get()?.token) use(kept.get().token);
  return Boolean(kept.get()?.token);
}

// Who went to pay may have paid. The mark stays until the provider says that nothing was
// paid; the tab's history has it too, where nothing can be stored.
const mayHavePaid = () => Boolean(kept.get()?.wentToPay || history.state?.wentToPay);

let isAway = false; // the buyer has just gone to pay: what the provider says now is said too early

/** Whether "pay" must not be shown before the provider was asked. */
const mustAsk = () => mayHavePaid() && !isAway && (order === null || order.status === 'held');

function wentToPay() {
  kept.set({ ...kept.get(), wentToPay: true });
  history.replaceState({ ...history.state, wentToPay: true }, '');
}

function didNotPay() {
  kept.set({ ...kept.get(), wentToPay: undefined });
  history.replaceState(null, '');
}

/** Whether the address has something behind its # that is no key. */
const isDamaged = () => fragment !== '' && !/^(back=)?[\w-]{16,64}$/.test(fragment);

let order = null;
let drawn = '';

const fields = (name) => root.querySelectorAll(`[data-field="${name}"]`);
const fill = (name, text) => fields(name).forEach((element) => { if (element.textContent !== text) element.textContent = text; });

function show(state) {
  const sections = [...root.querySelectorAll('[data-state]')];
  const hadFocus = sections.some((section) => section.dataset.state !== state && section.contains(document.activeElement));
  for (const section of sections) section.hidden = section.dataset.state !== state;
  // What had the keyboard is gone: it goes on at what came instead.
  if (hadFocus) sections.find((section) => section.dataset.state === state)?.querySelector('h1').focus();
}

/** What the page has of a status: a section of its own, or the one for what it does not know. */
const sectionOf = (status) => root.querySelector(`[data-sale-canceled][data-state="${CSS.escape(status)}"]`) ?? root.querySelector('[data-state="unknown"]');

function draw(next) {
  order = next;
  const section = sectionOf(order.status);
  fill('status', order.status);
  fill('sale', order.sale_name);
  fill('amount', money(order.amount, order.currency));
  fields('again').forEach((a) => { a.href = order.sale ? `/sales/${encodeURIComponent(order.sale)}` : '/'; });
  const isOnItsWay = order.status === 'held' && Boolean(order.processing);
  if (isOnItsWay) wentToPay(); // perhaps in another browser
  if (isOnItsWay || mustAsk()) {
    drawAsking(isOnItsWay, order.processing ? order.seats_kept_until : undefined);
    return;
  }
  const isFree = costsNothing();
  for (const element of root.querySelectorAll('[data-money]')) element.hidden = (element.dataset.money === 'none') !== isFree;
  if (isFree && section.dataset.free) setText(section.querySelector('h1'), section.dataset.free);
  show(section.dataset.state);
  drawSaleCanceled(section);
  drawFacts();
  drawDeclined();
  if (order.tickets && kept.get()?.email) kept.set({ ...kept.get(), email: undefined }); // there is nothing to try again
  const now = `${order.status} ${Boolean(order.sale_canceled_at)}`;
  if (drawn === now) { // do not load the QR codes again
    drawHolders();
    return;
  }
  drawn = now;
  document.title = `${section.querySelector('h1').textContent} · ${t('Box office')}`;
  if (order.status === 'held' && !isFree) drawHeld();
  drawTickets(section);
}

/** What the sale says of itself. */
function drawFacts() {
  const facts = order.facts ?? {};
  const event = eventText(facts, ' · ');
  fill('event', event);
  fields('event').forEach((element) => { element.hidden = !event; });
  root.querySelector('[data-action="calendar"]').hidden = !facts.starts_at;
  document.getElementById('terms').hidden = !facts.terms && !facts.terms_url;
  fill('terms', facts.terms ?? '');
  fill('terms-url', facts.terms_url ?? '');
  if (/^https:/.test(facts.terms_url ?? '')) fields('terms-url')[0].href = facts.terms_url;
  fill('imprint', facts.imprint ?? '');
  fields('imprint')[0].hidden = !facts.imprint;
}

/** Whether there is no money in the order: none to pay, and none to go back. */
const costsNothing = () => order.amount === 0 && !order.payment_url;

/** What the organiser's cancellation of the whole sale means for this order. */
function drawSaleCanceled(section) {
  document.getElementById('sale-canceled').hidden = !order.sale_canceled_at;
  if (!order.sale_canceled_at) return;
  fill('sale-canceled', costsNothing() && section.dataset.free ? section.dataset.freeCanceled : section.dataset.saleCanceled);
  fields('pay')[0].removeAttribute('href');
  fields('again').forEach((a) => { a.hidden = true; });
}

/** An attempt to pay was declined: another one is possible. The server's page says the same. */
function drawDeclined() {
  const box = fields('declined')[0];
  box.hidden = !order.declines || order.status !== 'held' || Boolean(order.sale_canceled_at) || Date.parse(order.hold_expires_at) <= clock.now();
  if (box.hidden) return;
  fill('attempts', t('Nothing was charged, and your seats are still held. %d more attempts are possible.', order.attempts_left));
}

/** What an order that came to nothing had, for the form of the sale: in this browser only, and the address in no URL. */
function keepForAgain() {
  const quantities = Object.fromEntries(order.items.map((item) => [item.class, item.quantity]));
  new Kept('localStorage', `boxoffice.basket.${order.sale}`).set({ quantities, email: kept.get()?.email ?? '', at: clock.now(), again: true });
}

function drawHeld() {
  const table = document.createElement('table');
  table.className = 'lines';
  for (const item of order.items) {
    addRow(table, `${number(item.quantity)} × ${calledOf(item)}`, money(item.quantity * item.unit_price, order.currency));
  }
  addRow(table, t('Total'), money(order.amount, order.currency));
  fields('lines')[0].replaceChildren(table);
  const pay = fields('pay')[0];
  if (!order.sale_canceled_at) pay.href = order.payment_url;
  pay.textContent = t('Pay %s', money(order.amount, order.currency));
  if (!kept.get()?.heldFor) kept.set({ ...kept.get(), heldFor: Date.parse(order.hold_expires_at) - clock.now() });
  new HeldOrders(order.sale).add({ order: id, token: kept.get().token }); // the sale's page offers it
  tick();
}

function addRow(table, ...texts) {
  const row = table.insertRow();
  for (const text of texts) row.insertCell().textContent = text;
}

/** The tickets of the order. Those that are void say so, and have no code to scan: as soon as the sale is canceled, all are. */
function drawTickets(section) {
  const list = section.querySelector('.tickets');
  if (!list) return;
  const template = document.getElementById('ticket');
  list.replaceChildren();
  const tickets = [...(order.tickets ?? []), ...(order.void_tickets ?? [])];
  const areVoid = !order.tickets || Boolean(order.sale_canceled_at);
  for (const ticket of tickets) {
    const card = template.content.cloneNode(true);
    const image = card.querySelector('img');
    image.alt = t('QR code of ticket %d', ticket.number);
    card.querySelector('.ticket').classList.toggle('void', areVoid);
    card.querySelector('.void-mark').hidden = !areVoid;
    card.querySelector('.ticket-sale').textContent = order.sale_name;
    card.querySelector('.ticket-class').textContent = titledOf(order.items.find((item) => item.class === ticket.class) ?? ticket);
    card.querySelector('.ticket-event').textContent = eventText(order.facts, '\n');
    card.querySelector('.ticket-number').textContent = t('Ticket %d of %d', ticket.number, tickets.length);
    card.querySelector('.ticket-code').textContent = ticket.code.replace(/(.{5})(?=.)/g, '$1 ');
    if (areVoid) image.remove();
    list.append(card);
    if (!areVoid) loadCode(image, ticket.number);
  }
  drawHolders();
  const perk = fields('perk')[0];
  perk.hidden = !order.perk;
  if (order.perk) {
    perk.textContent = order.perk.taken
      ? `★ ${t('You were fast: this order gets a %s.', order.perk.name)}`
      : t('The %s went to earlier orders.', order.perk.name);
  }
}

const holders = document.getElementById('holders');
const holdersMessage = document.getElementById('holders-message');

/** Who the tickets are for, and the form that says so while it can be said. What somebody is writing stays. */
function drawHolders() {
  const tickets = [...(order.tickets ?? []), ...(order.void_tickets ?? [])];
  const shown = [...sectionOf(order.status).querySelectorAll('.tickets .ticket-holder')];
  for (const [i, { holder }] of tickets.entries()) {
    if (!shown[i]) return;
    setText(shown[i], holder ?? '');
    shown[i].hidden = !holder;
  }
  holders.hidden = !order.holders_open;
  if (holders.hidden) return;
  fill('holders-until', order.holders_until ? ` ${t('You can change them until %s.', timeText(order.holders_until))}` : '');
  if (holders.elements.length <= 1) {
    for (const ticket of tickets) {
      const field = document.getElementById('holder').content.cloneNode(true);
      const input = field.querySelector('input');
      input.id = `holder-${ticket.number}`;
      input.name = String(ticket.number);
      const label = field.querySelector('label');
      label.htmlFor = input.id;
      label.textContent = `${t('Ticket %d', ticket.number)}, ${calledOf(order.items.find((item) => item.class === ticket.class) ?? ticket)}`;
      fields('holders')[0].append(field);
    }
  }
  for (const { number, holder } of tickets) {
    const input = holders.elements.namedItem(String(number));
    if (input.value === input.defaultValue) input.value = holder ?? '';
    input.defaultValue = holder ?? '';
  }
}

const tellHolders = (kind, heading, text) => sayIn(holdersMessage, kind, heading, text);

holders.addEventListener('input', () => tellHolders('', '', ''));
holders.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = holders.querySelector('button');
  if (isOff(button)) return;
  setOff(button, true);
  const body = JSON.stringify({ holders: order.tickets.map(({ number }) => ({ number, name: holders.elements.namedItem(String(number)).value })) });
  const answer = await ask(`/v1/orders/${id}/holders`, { method: 'PUT', headers: { ...headers, 'Content-Type': 'application/json' }, body });
  setOff(button, false);
  if (answer.status === 200) {
    for (const { number, holder } of answer.body.tickets) holders.elements.namedItem(String(number)).value = holder ?? '';
    draw(answer.body);
    tellHolders('', t('Saved'), t('The names stand on the tickets now.'));
  } else if (answer.code === 'invalid') {
    tellHolders('bad', t('One of the names cannot be saved'), t('A name is one line, and not very long. Nothing was changed.'));
  } else if (answer.code === 'holders_fixed') {
    tellHolders('bad', t('The names can no longer be changed'), t('Nothing was changed.'));
  } else {
    tellHolders('warn', t('No answer yet'), t('We do not know whether the names are saved. Press the button again: that does no harm.'));
  }
});

/** Images cannot send a token, so a script fetches them. */
async function loadCode(image, number, tries = 5) {
  try {
    const response = await fetch(`/v1/orders/${id}/tickets/${number}/qr`, { headers: { ...headers, Accept: 'image/svg+xml' } });
    if (response.ok) {
      image.src = URL.createObjectURL(await response.blob());
      return;
    }
  } catch {
    // no connection; below
  }
  if (tries > 1) {
    await sleep(2000);
    return loadCode(image, number, tries - 1);
  }
  image.alt = t('The code could not be loaded. The letters beside it are the same code.');
}

function tick() {
  if (order?.status !== 'held' || costsNothing()) return;
  const left = Date.parse(order.hold_expires_at) - clock.now();
  const seconds = Math.max(0, Math.ceil(left / 1000));
  fill('countdown', `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`);
  root.querySelector('.countdown').classList.toggle('soon', seconds <= SOON_SECONDS);
  fields('countdown-bar')[0].value = Math.max(0, Math.min(1, left / (kept.get()?.heldFor || left)));
  if (seconds > 0) return;
  drawDeclined();
  fields('pay')[0].removeAttribute('href'); // paying now would be too late
  setOff(root.querySelector('[data-action="cancel"]'), true);
  fill('note', t('Time is up. One moment: we ask whether your payment came through.'));
}

/** Lets a button download a file of the order: a link cannot send a token. */
function downloads(action, name, failed) {
  root.querySelector(`[data-action="${action}"]`).addEventListener('click', async ({ currentTarget: button }) => {
    if (isOff(button)) return;
    setOff(button, true);
    try {
      const response = await fetch(`/v1/orders/${id}/${action}`, { headers: { ...headers, 'Accept-Language': document.documentElement.lang } });
      if (!response.ok) throw new Error(response.status);
      const file = document.createElement('a');
      file.href = URL.createObjectURL(await response.blob());
      file.download = name;
      file.click();
      setTimeout(() => URL.revokeObjectURL(file.href), 60_000);
      say('');
    } catch {
      say(failed);
    }
    setOff(button, false);
  });
}

downloads('calendar', 'event.ics', t('The calendar entry could not be loaded. Please try again.'));
downloads('pdf', 'tickets.pdf', t('The PDF could not be loaded. Please try again.'));
root.querySelector('[data-action="print"]').addEventListener('click', () => window.print());
root.querySelector('[data-action="cancel"]').addEventListener('click', async ({ currentTarget: button }) => {
  if (isOff(button) || !window.confirm(t('Give the seats back?'))) return;
  setOff(button, true);
  const { status, code } = await ask(`/v1/orders/${id}/cancel`, { method: 'POST', headers });
  setOff(button, false);
  if (status !== 200 && code !== 'already_paid' && code !== 'payment_processing') say(`${t('The cancellation did not come through')}. ${t('Please try again.')}`);
  await look();
});

for (const link of root.querySelectorAll('[data-retry]')) {
  for (const event of ['click', 'auxclick', 'contextmenu']) link.addEventListener(event, keepForAgain);
}

// With the keyboard, in another tab and by a long press too: whatever opens the link.
for (const event of ['click', 'auxclick', 'contextmenu']) {
  fields('pay')[0].addEventListener(event, () => {
    isAway = true;
    wentToPay();
  });
}

let wake = () => {};
const nap = (ms) => Promise.race([sleep(ms), new Promise((done) => { wake = done; })]);

/** The buyer is back, at a page that was there all the time. */
function comeBack() {
  isAway = false;
  if (mustAsk()) drawAsking(false);
  wake();
}

function say(text) {
  trouble.hidden = !text;
  trouble.textContent = text;
}

/** Asks once. The answer: whether the order moved. */
async function look() {
  const { status, body, date } = await ask(`/v1/orders/${id}`, { headers });
  clock.correct(date);
  if (status === 200) {
    const moved = body.status !== order?.status;
    say('');
    if (kept.get()?.token !== token) kept.set({ ...kept.get(), token }); // not before it has opened the order
    draw(body);
    return moved;
  }
  if (status === 404 && order === null) {
    if (kept.get()?.token && kept.get().token !== token) { // the address was copied without its end, or somebody made it up
      use(kept.get().token);
      return look();
    }
    show('missing');
    return false;
  }
  say(t('We cannot reach the box office right now. Your order is safe; this page keeps trying.'));
  return false;
}

/** Shows that nobody knows yet whether the buyer paid. There is nothing to press: paying again would be wrong. */
function drawAsking(isProcessing, keptUntil) {
  const section = root.querySelector('[data-state="asking"]');
  show('asking');
  setText(section.querySelector('h1'), keptUntil ? section.dataset.onItsWay : section.dataset.heading);
  let text = isProcessing ? section.dataset.processing : section.dataset.unknown;
  if (keptUntil) text = t('We keep your seats for you until %s. Your tickets appear here as soon as the money has arrived; if it does not arrive, the seats go back. Please do not pay again.', timeText(keptUntil));
  setText(section.querySelector('[data-field="asking"]'), text);
  document.title = `${section.querySelector('h1').textContent} · ${t('Box office')}`;
  drawn = '';
}

/** Asks what became of the payment, as the provider has it. The answer: when to ask again, in ms; 0 once it is known. */
async function askWhetherPaid(wait) {
  const { status, body, date, retryAfter } = await ask(`/v1/orders/${id}/check-payment`, { method: 'POST', headers });
  clock.correct(date);
  if (status === 404) return 0; // look() knows what to do
  if (status === 200) {
    say('');
    if (body.payment === 'none' || body.status !== 'held') didNotPay();
    return 0;
  }
  if (status === 202) say('');
  else say(t('We cannot reach the box office right now. Your order is safe; this page keeps trying.'));
  drawAsking(body?.payment === 'processing', body?.seats_kept_until);
  return Math.max(wait, retryAfter);
}

/** Waits until it is known whether a buyer who went to pay has paid. */
async function settlePayment() {
  if (!order?.processing) drawAsking(false);
  for (let wait = POLL_MIN_MS; mustAsk(); wait = Math.min(wait * 1.5, ASK_MAX_MS)) {
    const again = await askWhetherPaid(wait);
    if (again === 0) return;
    await sleep(again * (0.9 + 0.2 * Math.random()));
  }
}

/** Follows the order: often while it may move, ever more seldom after. */
async function follow() {
  if (!await findToken()) {
    show(isDamaged() ? 'damaged' : 'missing');
    return;
  }
  let wait = POLL_MIN_MS;
  for (;;) {
    if (mustAsk()) await settlePayment();
    const moved = await look();
    // Only these two are for good: money may still arrive for the others.
    if (order === null && trouble.hidden || order !== null && 'final' in sectionOf(order.status).dataset) return;
    wait = moved || order?.status === 'held' && !document.hidden && trouble.hidden ? POLL_MIN_MS : Math.min(wait * 1.5, POLL_MAX_MS);
    await nap(wait * (0.8 + 0.4 * Math.random()));
  }
}

// The address has the order's key behind its #: the way past the head leaves it there.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  const main = document.getElementById('main');
  main.tabIndex = -1;
  main.focus();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) comeBack(); });
window.addEventListener('hashchange', () => location.reload());
window.addEventListener('pageshow', ({ persisted }) => { // back from paying
  if (!persisted) return;
  comeBack();
  location.reload();
});
setInterval(tick, 500);
follow();
