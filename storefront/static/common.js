// What the pages share: money, time, waiting, and keeping things across a reload.

import { DECIMALS } from './currencies.js';
import { DATES, LANGUAGE, SYMBOLS, SYMBOL_BEHIND, t } from './texts.js';

/** Writes minor units as people do; agrees with Money in Go. */
export function money(minor, currency) {
  const decimals = DECIMALS[currency] ?? 2;
  const digits = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const amount = digits.format(Math.abs(minor) / 10 ** decimals);
  const symbol = SYMBOLS[currency] ?? currency;
  const written = SYMBOL_BEHIND ? `${amount}\u00a0${symbol}` : `${symbol}${/\p{L}$/u.test(symbol) ? '\u00a0' : ''}${amount}`;
  return `${minor < 0 ? '-' : ''}${written}`;
}

/** Writes a count as people do; agrees with number in Go. */
export const number = (n) => t('%d', Math.max(0, n));

/** What people call a class: its label, or its id. */
export const calledOf = (item) => item.label || t('class %s', item.class);

/** The same at the beginning of a line. */
export const titledOf = (item) => item.label || t('Class %s', item.class);

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** When and where, by the clocks of the venue. */
export function eventText(facts, between) {
  const venue = [facts?.venue?.name, ...(facts?.venue?.address ?? '').split('\n')].filter(Boolean).join(', ');
  return [whenText(facts), venue].filter(Boolean).join(between);
}

function whenText(facts) {
  if (!facts?.starts_at) return '';
  const [starts, ends] = [new Date(facts.starts_at), facts.ends_at && new Date(facts.ends_at)];
  const write = (timeZone) => {
    const style = { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric', hour: 'numeric', minute: '2-digit', timeZone };
    const format = new Intl.DateTimeFormat(DATES, style);
    return `${ends && format.formatRange ? format.formatRange(starts, ends) : format.format(starts)} (${timeZone})`;
  };
  try {
    return write(facts.time_zone);
  } catch {
    return write('UTC'); // the browser does not know the zone
  }
}

/** Screen readers announce a status on every change: change only what changed. */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/**
 * Switches a control off, or on again. It stays where the keyboard is: what is
 * disabled in HTML drops the focus to the page. Whoever listens to it asks isOff.
 */
export function setOff(control, off) {
  control.disabled = false; // as the page may have come
  if (off) control.setAttribute('aria-disabled', 'true');
  else control.removeAttribute('aria-disabled');
}

export const isOff = (control) => control.getAttribute('aria-disabled') === 'true';

/** Fills a notice: a heading and a text, or nothing. */
export function say(where, kind, heading, text = '') {
  const said = `${kind} ${heading} ${text}`;
  if (where.dataset.said === said) return; // screen readers would repeat it
  where.dataset.said = said;
  where.hidden = !heading;
  where.className = `notice ${kind}`;
  where.replaceChildren();
  if (!heading) return;
  const strong = document.createElement('strong');
  strong.textContent = heading;
  where.append(strong, text);
}

/**
 * The box office's clock: the visitor's may be wrong by hours. It starts from the
 * time that the page was made at, and runs on by the browser's own counter.
 */
export class ServerClock {
  #zero; // the server's time when the counter was 0

  constructor(pageMadeAt) {
    const [navigation] = performance.getEntriesByType('navigation');
    this.#zero = pageMadeAt - (navigation?.responseStart || performance.now());
  }

  now() {
    return this.#zero + performance.now();
  }

  /** By an answer's Date header. It has whole seconds, so it corrects only what is clearly off: the counter may stand still while a computer sleeps. */
  correct(date) {
    if (Number.isNaN(date)) return;
    const off = date + 500 - this.now();
    if (Math.abs(off) > 1500) this.#zero += off;
  }
}

const two = (n) => String(n).padStart(2, '0');

/** A time left, as a clock: 2 days 03:04:05. */
export function clockText(seconds) {
  const days = Math.floor(seconds / 86_400);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(':');
  return days > 0 ? t('%d days %s', days, clock) : clock;
}

/** A time left, in words, for who listens. */
function spellLeft(seconds) {
  if (seconds >= 7200) return t('%d hours', Math.floor(seconds / 3600));
  return seconds >= 120 ? t('%d minutes', Math.floor(seconds / 60)) : t('%d seconds', seconds);
}

const SAY_AT_SECONDS = [3600, 600, 300, 60, 10];

/** Counts down to the opening, and calls `opened` once when it is reached. The answer stops it. */
export function countDown({ opensAt, clock, face, said, opened }) {
  let lastSeconds = Infinity;
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((opensAt - clock.now()) / 1000));
    if (Number.isNaN(seconds)) return;
    face.hidden = false;
    setText(face, clockText(seconds));
    face.classList.toggle('soon', seconds <= 60);
    if (said && SAY_AT_SECONDS.some((at) => lastSeconds > at && seconds <= at)) setText(said, t('%s until the opening', spellLeft(seconds)));
    lastSeconds = seconds;
    if (seconds > 0) return;
    clearInterval(timer);
    opened();
  };
  const timer = setInterval(tick, 250);
  tick();
  return () => clearInterval(timer);
}

/**
 * A time in the visitor's own zone, and how far that is from UTC: in the night in
 * which clocks go back an hour comes twice.
 */
export function timeText(time, style = { dateStyle: 'full', timeStyle: 'short' }) {
  const at = new Date(time);
  const east = -at.getTimezoneOffset();
  const minutes = Math.abs(east) % 60;
  const offset = east === 0 ? '' : `${east < 0 ? '−' : '+'}${Math.floor(Math.abs(east) / 60)}${minutes ? `:${two(minutes)}` : ''}`;
  return `${at.toLocaleString(LANGUAGE, style)} (UTC${offset})`;
}

/** Times of the page, in the visitor's own zone. */
export function localTime(element, time) {
  if (element && time) setText(element, timeText(time));
}

/** Why a class is not on sale, by its own window. Agrees with the template stock in Go. */
export function shutText(opensAt, now) {
  if (opensAt && Date.parse(opensAt) > now) return t('On sale from %s', timeText(opensAt, { dateStyle: 'medium', timeStyle: 'short' }));
  return t('No longer on sale');
}

/** Agrees with wentWrong in Go. */
export const tryAgainText = ({ request_id: id }) => (id ? t('Please try again (request %s).', id) : t('Please try again.'));

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A UUIDv7 (RFC 9562): 48 bits of milliseconds, the box office's, then chance. */
export function uuidv7(at) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let ms = Math.floor(at);
  for (let i = 5; i >= 0; i--) {
    bytes[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A JSON value in a Storage. Browsers may refuse to store: then it is kept for this page only. */
export class Kept {
  #storage;
  #name;
  #value;

  constructor(storage, name) {
    this.#storage = storage;
    this.#name = name;
    try {
      this.#value = JSON.parse(window[storage].getItem(name));
    } catch {
      this.#value = null;
    }
  }

  get() {
    return this.#value;
  }

  set(value) {
    this.#value = value;
    try {
      if (value === null) window[this.#storage].removeItem(this.#name);
      else window[this.#storage].setItem(this.#name, JSON.stringify(value));
    } catch {
      // storage is full or forbidden
    }
  }
}

/**
 * The orders of a sale that this browser has on hold, newest last: {order, token}.
 * The page's own place in the history knows the last one too, for browsers that store nothing.
 */
export class HeldOrders {
  static #MAX = 4;
  #kept;

  constructor(sale) {
    this.#kept = new Kept('localStorage', `boxoffice.held.${sale}`);
  }

  list() {
    const kept = Array.isArray(this.#kept.get()) ? this.#kept.get() : [];
    const here = history.state?.held;
    const all = here && !kept.some(({ order }) => order === here.order) ? [...kept, here] : kept;
    return all.filter((some) => /^[0-9a-f]{32}$/.test(some?.order) && /^[\w-]{16,64}$/.test(some?.token));
  }

  add(held) {
    this.#kept.set([...this.list().filter(({ order }) => order !== held.order), held].slice(-HeldOrders.#MAX));
    history.replaceState({ ...history.state, held }, '');
  }

  drop(gone) {
    const rest = this.list().filter(({ order }) => order !== gone);
    this.#kept.set(rest.length > 0 ? rest : null);
    if (history.state?.held?.order === gone) history.replaceState({ ...history.state, held: undefined }, '');
  }
}

const STREAMS_MAX = 3;
const STREAM_AGAIN_MS = 30_000; // the newer ones may be gone by then; else this one is the newest
const STREAM_ANNOUNCED = 'boxoffice.stream';

/**
 * A stream of server-sent events that leaves room for requests. Over HTTP/1.1 a browser
 * opens six connections to a server, for all its tabs together, and a stream takes
 * one for good: the tabs that opened theirs last keep them, and the others ask, and take their turn again later.
 * Where nothing can be stored, tabs do not hear of each other: then a hidden one has none.
 */
export class Stream {
  #path;
  #event;
  #heard;
  #whileHidden;
  #source = null;
  #newer = 0; // streams that other tabs opened since
  #told = false; // other tabs heard of ours
  #again = 0;

  /** Whether events come through. */
  live = false;

  /** whileHidden: who waits behind another tab wants to hear it too. */
  constructor(path, event, heard, { whileHidden = false } = {}) {
    this.#path = path;
    this.#event = event;
    this.#heard = heard;
    this.#whileHidden = whileHidden;
    window.addEventListener('storage', this.#others);
    document.addEventListener('visibilitychange', this.#visibility);
    window.addEventListener('focus', this.#visibility);
    window.addEventListener('pagehide', this.#leave); // a page that is kept for the way back needs none
    this.#open();
  }

  close() {
    window.removeEventListener('storage', this.#others);
    document.removeEventListener('visibilitychange', this.#visibility);
    window.removeEventListener('focus', this.#visibility);
    window.removeEventListener('pagehide', this.#leave);
    this.#shut();
  }

  #open() {
    if (this.#source || document.hidden && !this.#whileHidden) return;
    clearTimeout(this.#again);
    this.#newer = 0;
    try {
      localStorage.setItem(STREAM_ANNOUNCED, String(Math.random()));
      this.#told = true;
    } catch {
      this.#told = false;
      if (document.hidden) return;
    }
    this.#source = new EventSource(this.#path);
    this.#source.addEventListener(this.#event, ({ data }) => {
      this.live = true;
      this.#heard(JSON.parse(data));
    });
    // EventSource connects again by itself, or gives up on a refusal: too many streams, for one.
    this.#source.addEventListener('error', () => { this.live = false; });
  }

  #shut() {
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = null;
    this.live = false;
  }

  #others = ({ key }) => {
    if (key !== STREAM_ANNOUNCED || ++this.#newer < STREAMS_MAX || !this.#source) return;
    this.#shut();
    this.#again = setTimeout(() => this.#open(), STREAM_AGAIN_MS * (1 + Math.random()));
  };

  #leave = () => this.#shut();

  #visibility = () => {
    if (!document.hidden) this.#open();
    else if (!this.#whileHidden || !this.#told) this.#shut();
  };
}

let troubleNotice = null;
let failures = 0;

/** Where to say that answers fail; cleared by the next one that does not. */
export function tellTrouble(notice) {
  troubleNotice = notice;
}

function noteAnswer(status) {
  failures = status === 0 || status === 503 ? failures + 1 : 0;
  if (!troubleNotice) return;
  if (failures === 0) say(troubleNotice, 'warn', '');
  else if (status === 503) say(troubleNotice, 'warn', t('The box office is very busy right now'), t('What you hold and your place in a queue are safe. This page keeps asking by itself: please do not reload it.'));
  else if (failures > 1) say(troubleNotice, 'warn', t('No connection to the box office'), t('Perhaps your network is away. What you hold and your place in a queue are safe; this page keeps trying.'));
}

/** Nobody knows what became of what was asked: it may be asked again as it is. */
export const isUnanswered = ({ status }) => status === 0 || status >= 500;

const ASK_TIMEOUT_MS = 20_000;

/**
 * Asks the API. Never throws: a failure without an answer has status 0.
 * retryAfter is in milliseconds, 0 without a hint.
 */
export async function ask(path, options = {}) {
  const abort = new AbortController(); // AbortSignal.timeout is younger than browsers in use
  const timer = setTimeout(() => abort.abort(), ASK_TIMEOUT_MS);
  try {
    const response = await fetch(path, { cache: 'no-store', ...options, signal: abort.signal });
    const body = await response.json().catch(() => ({}));
    noteAnswer(response.status);
    return {
      status: response.status,
      code: body.code ?? '',
      body,
      retryAfter: 1000 * (Number(response.headers.get('Retry-After')) || 0),
      date: Date.parse(response.headers.get('Date') ?? ''),
    };
  } catch {
    noteAnswer(0);
    return { status: 0, code: '', body: {}, retryAfter: 0, date: NaN };
  } finally {
    clearTimeout(timer);
  }
}

// A page whose URL names the language may be the same for everybody, so it sets no cookie: its script does, for
// the pages that follow. The links to other languages keep what stands behind the #, such as an order's key.
const named = new URLSearchParams(location.search).get('lang');
if (named === LANGUAGE) {
  document.cookie = `boxoffice-language=${LANGUAGE}; Path=/; Max-Age=31536000; SameSite=Lax${location.protocol === 'https:' ? '; Secure' : ''}`;
}
for (const link of document.querySelectorAll('.languages a')) {
  link.addEventListener('click', () => { link.hash = location.hash; });
}
