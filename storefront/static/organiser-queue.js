// The queue on the organiser's page: how it stands, pause and resume, how fast the door may open.
import { ask, isOff, isUnanswered, number, setOff, setText, sleep } from './common.js';
import { hideDraw, showDraw } from './organiser-draw.js';
import { tell, whyRefused } from './organiser-notice.js';

const POLL_MS = 2000;

const panel = document.getElementById('queue-panel');
const sale = document.getElementById('organiser').dataset.sale;
const pause = document.getElementById('pause');
const message = document.getElementById('queue-message');
const inputs = { rate_floor: document.getElementById('rate-floor'), rate_ceiling: document.getElementById('rate-ceiling') };

const STATUSES = {
  draw: 'Before the opening: who joins takes part in the draw.',
  waiting: 'Open: people are let in by their places.',
  admitted: 'Open: nobody waits, whoever joins goes straight in.',
  paused: 'Paused: nobody is let in. Who was let in before may still buy.',
  sold_out: 'Sold out: the door stays shut.',
  closed: 'The sale is closed: the door stays shut.',
  canceled: 'Canceled.',
};

let admin = null;
let paused = false;
let following = false;

/** Shows the panel, where the sale has a queue. `asAdmin` asks with the organiser's token. */
export async function showQueue(asAdmin) {
  admin = asAdmin;
  // A change of nothing answers the limits, which only the organiser hears.
  const { status, body } = await change({});
  if (status !== 200) return;
  panel.hidden = false;
  draw(body);
  if (!following) follow();
}

export function hideQueue() {
  panel.hidden = true;
  hideDraw();
}

const change = (body) => admin(`/v1/sales/${sale}/queue`, 'PATCH', body);

function draw(view) {
  paused = view.paused;
  setText(document.getElementById('queue-status'), STATUSES[paused ? 'paused' : view.status] ?? view.status);
  for (const name of ['joined', 'waiting', 'admitted']) setText(panel.querySelector(`[data-queue="${name}"]`), number(view[name]));
  showDraw(view.draw, admin, draw);
  setText(panel.querySelector('[data-queue="rate"]'), view.rate.toLocaleString('en', { maximumFractionDigits: 1 }));
  setText(pause, paused ? 'Resume the queue' : 'Pause the queue');
  pause.classList.toggle('primary', paused);
  pause.classList.toggle('quiet', !paused);
  for (const [name, input] of Object.entries(inputs)) {
    if (view[name] === undefined || input.dataset.edited) continue;
    input.value = view[name];
  }
}

/** The public numbers, by way of this page's own address: the organiser's listener may not have the public routes. */
async function follow() {
  following = true;
  while (!panel.hidden) {
    await sleep(POLL_MS);
    if (document.hidden || panel.hidden) continue;
    const { status, body } = await ask(`/organiser/sales/${sale}/queue`);
    if (status === 200) draw(body);
  }
  following = false;
}

async function set(body, done) {
  const buttons = [...panel.querySelectorAll('button')];
  if (buttons.some(isOff)) return;
  for (const button of buttons) setOff(button, true);
  const answer = await change(body);
  for (const button of buttons) setOff(button, false);
  if (answer.status === 200) {
    for (const input of Object.values(inputs)) delete input.dataset.edited;
    draw(answer.body);
    tell(message, '', done);
  } else if (isUnanswered(answer)) {
    tell(message, 'warn', 'No answer: it may be in force or not. Press the button again, that does no harm.');
  } else {
    tell(message, 'bad', whyRefused(answer.body));
  }
}

panel.addEventListener('input', (event) => { event.target.dataset.edited = 'yes'; });
pause.addEventListener('click', () => set({ paused: !paused }, paused ? 'The queue goes on.' : 'The queue is paused.'));
panel.addEventListener('submit', (event) => {
  event.preventDefault();
  const body = {};
  for (const [name, input] of Object.entries(inputs)) {
    if (input.value !== '') body[name] = Number(input.value);
  }
  set(body, 'The limits are set.');
});
