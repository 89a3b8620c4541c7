// What this browser has on hold, on every page: "You hold 2 tickets, 3:41 left". Only a browser that a cookie says holds something asks:
// a crowd of visitors asks nothing.
import { ask } from './common.js';
import { t } from './texts.js';

const MARK = /(?:^|;\s*)(boxoffice-holding-[a-z0-9-]+)=/g;
const AGAIN_MS = 60_000; // it may be paid or given back in another tab

const box = document.getElementById('holding');
const here = document.getElementById('order')?.dataset.order; // that page says it itself
const marks = () => [...document.cookie.matchAll(MARK)].map(([, name]) => name);

let held = [];
let askedAt = -Infinity;

const leftOf = ({ until }) => Math.max(0, Math.ceil((until - performance.now()) / 1000));
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;

function line(one) {
  const shown = document.createElement('p');
  shown.className = 'notice warn';
  const said = document.createElement('span');
  const link = document.createElement('a');
  link.href = `/orders/${one.order}#${one.token}`;
  link.textContent = t('Go to your order');
  shown.append(said, ' ', link);
  one.tick = () => {
    said.textContent = t('You hold %d tickets of %s, %s left.', one.tickets, one.sale_name, clock(leftOf(one)));
  };
  one.tick();
  return shown;
}

async function look() {
  if (marks().length === 0) return;
  askedAt = performance.now();
  const { status, body } = await ask('/held');
  if (status !== 200) return;
  if (body.held.length === 0) { // paid, given back, or over
    for (const name of marks()) document.cookie = `${name}=; Path=/; Max-Age=0; SameSite=Lax`;
  }
  held = body.held.filter(({ order }) => order !== here).map((one) => ({ ...one, until: askedAt + one.left_ms }));
  box.replaceChildren(...held.map(line));
  box.hidden = held.length === 0;
}

function tick() {
  if (document.hidden) return;
  if (held.some((one) => leftOf(one) === 0)) {
    held = held.filter((one) => leftOf(one) > 0);
    box.replaceChildren(...held.map(line));
    box.hidden = held.length === 0;
  }
  for (const one of held) one.tick();
  if (held.length > 0 && performance.now() - askedAt > AGAIN_MS) look();
}

document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
setInterval(tick, 1000);
look();
