// The page of a place in the queue: follows it until it is let in, then is the checkout.
import { Kept, ServerClock, Stream, ask, countDown, localTime, number, setText, sleep, tellTrouble } from './common.js';
import { dropBasket, setPreparing, startCheckout } from './checkout.js';
import { offerHeld } from './held.js';
import { t } from './texts.js';

const STREAM_GRACE_MS = 1500; // then this page asks by itself
const POLL_MIN_MS = 2000;
const POLL_MAX_MS = 60_000;
const LOOK_ANYWAY_MS = 60_000; // a stream may be dead without either side noticing
const SAY_EVERY_MS = 20_000; // how often who listens hears the place

const root = document.getElementById('queue');
const token = root.dataset.token;
const sale = root.dataset.sale;
const clock = new ServerClock(Number(root.dataset.now));
const path = `/v1/queue/${token}`;
const ENDS = ['admitted', 'sold_out', 'closed', 'canceled', 'missing'];
const MAY_COME_BACK = ['sold_out', 'closed'];

// The sale's page offers this place again, and the bar goes on after a reload.
const kept = new Kept('localStorage', `boxoffice.place.${sale}`);
const started = new Kept('sessionStorage', `boxoffice.ahead.${token}`);

let status = '';
let stream = null;
let heardAt = 0;
let saidAt = 0;
let stopCountdown = null;
let checkoutStarted = false;
let following = false;
let admittedUntil = Date.parse(root.dataset.until); // NaN: no bound

const fill = (name, text) => root.querySelectorAll(`[data-field="${name}"]`).forEach((element) => setText(element, text));
const section = (state) => root.querySelector(`[data-state="${state === 'paused' ? 'waiting' : state}"]`);

function draw(place) {
  heardAt = performance.now();
  const was = status;
  status = section(place.status) ? place.status : 'waiting';
  const drawn = place.position > 0; // paused before the opening: there is no place yet
  fill('ahead', drawn ? number(place.ahead) : '–');
  fill('ahead-unit', drawn ? aheadText(place.ahead) : t('your place is drawn at the opening'));
  fill('position', drawn ? number(place.position) : '–');
  fill('waiting', number(place.waiting));
  fill('wait', status === 'paused' ? t('paused') : spellWait(place.wait_seconds) || t('not known yet'));
  if (place.draw) {
    fill('commitment', place.draw.commitment);
    fill('seed', place.draw.seed || t('published after the draw'));
    fill('size', place.draw.size >= 0 ? number(place.draw.size) : t('not yet'));
    fill('root', place.draw.root || t('published when the list is closed'));
    for (const note of root.querySelectorAll('[data-field="waived"]')) note.hidden = !place.draw.waived;
    const closing = document.getElementById('closing');
    closing.hidden = !CLOSING[place.draw.state];
    setText(closing, CLOSING[place.draw.state] ?? '');
  }
  drawBar(place);
  document.title = `${titleOf(place)} · ${t('Box office')}`;
  document.getElementById('paused').hidden = status !== 'paused';
  document.getElementById('late').hidden = !place.late;
  admittedUntil = Date.parse(place.admitted_until);
  if (!checkoutStarted) document.getElementById('interrupted').hidden = !place.interrupted || status === 'draw' || ENDS.includes(status); // then the live stock says it
  document.getElementById('keep').hidden = ENDS.includes(status);
  if (status !== was) enter(was);
  announce(place, status !== was);
}

/** What is said between the opening and the draw. Agrees with Closing in Go. */
const CLOSING = {
  closed: t('The sale has opened and the list is closed. The places are drawn in a few seconds, when the random number is there that nobody knows yet.'),
  delayed: t('The random number that the draw waits for has not come yet. Nobody is let in before the draw, so you lose nothing: stay here, it goes on by itself.'),
};

/** How much of the way is behind. It needs to know where it began. */
function drawBar({ ahead, position }) {
  if (status !== 'waiting' && status !== 'paused' || !position) return;
  if (!(started.get() >= ahead)) started.set(ahead);
  const bar = document.getElementById('bar');
  bar.hidden = started.get() === 0;
  bar.max = Math.max(1, started.get());
  bar.value = started.get() - ahead;
}

const HEADINGS = { draw: t('In the draw'), admitted: t('It is your turn'), sold_out: t('Sold out'), closed: t('The sale is closed'), canceled: t('Canceled'), paused: t('Queue paused'), missing: t('Your place is no longer known') };
const titleOf = ({ ahead }) => (status === 'admitted' ? `★ ${HEADINGS[status]}` : HEADINGS[status] ?? t('%d ahead of you', ahead));

/** What stands behind the number of those ahead. Agrees with ahead in Go. */
const aheadText = (n) => (n === 1 ? t('person ahead of you') : t('people ahead of you'));

/** Shows the section of a new status, and brings it to life. */
function enter(was) {
  root.dataset.status = status;
  for (const some of root.querySelectorAll('[data-state]')) some.hidden = some !== section(status);
  stopCountdown?.();
  stopCountdown = null;
  showForm();
  if (status === 'draw') startCountdown();
  if (status === 'admitted') {
    countUntil();
    letIn();
  }
  // Who came to see the place changes nothing; who was waiting is brought to what is new.
  if (was && ENDS.includes(status)) section(status).querySelector('h1').focus();
}

/** The form is filled in while one waits, and sent when it is the turn. */
function showForm() {
  const isTurn = status === 'admitted';
  const waits = !isTurn && !ENDS.includes(status);
  document.getElementById('order-form').hidden = !isTurn && !waits;
  const isFilledIn = setPreparing(waits);
  document.getElementById('prepared').hidden = !isTurn || !isFilledIn || checkoutStarted;
  if (status === 'canceled' || status === 'missing') dropBasket();
}

function startCountdown() {
  localTime(root.querySelector('[data-field="opens-text"]'), root.dataset.opens);
  stopCountdown = countDown({
    opensAt: Date.parse(root.dataset.opens), clock, face: document.getElementById('clock'), said: document.getElementById('said'),
    opened: () => { setText(document.getElementById('clock'), t('Drawing…')); },
  });
}

/** How long the checkout may begin. What is late costs a moment, so nothing is shut when it is over. */
function countUntil() {
  const note = document.getElementById('until');
  note.hidden = Number.isNaN(admittedUntil);
  if (note.hidden) return;
  stopCountdown = countDown({
    opensAt: admittedUntil, clock, face: note.querySelector('[data-field="until"]'), opened: () => { note.hidden = true; },
  });
}

function letIn() {
  if (checkoutStarted) return;
  checkoutStarted = true;
  startCheckout({ place: token, shut: async () => { status = ''; await look(); follow(); }, canceled: () => draw({ status: 'canceled', ahead: 0, position: 0, waiting: 0 }) });
}

/** For who listens: at once when something happens, else now and then. */
function announce({ ahead, wait_seconds: wait }, moved) {
  if (status === 'draw' && !moved) return;
  if (!moved && performance.now() - saidAt < SAY_EVERY_MS) return;
  saidAt = performance.now();
  const waiting = `${t('%d people ahead of you', ahead)}${spellWait(wait) && `, ${spellWait(wait)}`}`;
  setText(document.getElementById('said'), HEADINGS[status] ?? waiting);
}

/** An estimated wait, as people say it. Agrees with spellWait in Go. */
function spellWait(seconds) {
  const minutes = Math.round(seconds / 60);
  if (!(seconds > 0)) return '';
  if (seconds < 60) return t('less than a minute');
  return minutes < 90 ? t('about %d minutes', minutes) : t('about %d hours', Math.round(seconds / 3600));
}

// ---- following

/** Asks once. The answer: how long to wait before the next time, in ms. */
async function look() {
  const answer = await ask(path);
  clock.correct(answer.date);
  if (answer.status === 200) draw(answer.body);
  if (answer.status === 404) {
    kept.set(null);
    draw({ status: 'missing', ahead: 0, position: 0, waiting: 0 });
  }
  const wait = Math.min(Math.max(answer.retryAfter, POLL_MIN_MS), POLL_MAX_MS);
  return status === 'draw' ? wait : wait * (1 + 0.25 * Math.random()); // who waits for the draw is told a time of their own
}

/** Follows the place by the stream, and by asking while that does not come through. Both say that we are still here. */
async function follow() {
  if (following) return;
  following = true;
  let wait = STREAM_GRACE_MS;
  if (!ENDS.includes(status)) stream = new Stream(`${path}/events`, 'place', draw, { whileHidden: true });
  while (!ENDS.includes(status)) {
    await sleep(stream.live ? 1000 : wait);
    if (ENDS.includes(status)) break;
    if (!stream.live || performance.now() - heardAt > LOOK_ANYWAY_MS) wait = await look();
  }
  stream?.close();
  stream = null;
  following = false;
  if (status === 'canceled') kept.set(null);
}

/** Looks again where there may be news. What is sold out may come back by a refund, but that is not worth asking for on and on. */
async function lookAgain() {
  if (document.hidden || (ENDS.includes(status) && !MAY_COME_BACK.includes(status))) return;
  await look();
  follow();
}

tellTrouble(document.getElementById('trouble'));
offerHeld(clock); // whatever has become of the place
kept.set(token);
// The page came with the numbers of its moment: nothing needs to be asked for them.
status = section(root.dataset.status) ? root.dataset.status : 'waiting';
enter('');
window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
document.addEventListener('visibilitychange', lookAgain);
follow();
