// The organiser's page, what may be changed while a sale runs: its classes get more or fewer
// tickets, and it is ended early and opened again.
import { isOff, isUnanswered, setOff, uuidv7 } from './common.js';
import { onSale, readSale } from './organiser-definition.js';
import { tell, whyRefused } from './organiser-notice.js';

const sale = document.getElementById('organiser').dataset.sale;
const endSale = document.getElementById('end-sale');
const endButton = document.getElementById('end-button');
const capacity = document.getElementById('capacity');
const classOf = document.getElementById('capacity-class');
const to = document.getElementById('capacity-to');
const capacityButton = document.getElementById('capacity-button');
const [endMessage, capacityMessage] = ['end-message', 'capacity-message'].map((id) => document.getElementById(id));

let admin = null; // asks as the organiser
let ended = false;
let wish = null; // the change under way: {key, class, to}. The same wish is the same change.

const isOpenEnded = (answer) => isUnanswered(answer) || answer.code === 'in_flight';
const NO_ANSWER = 'No answer. Press the button again: that never does it twice.';

function drawEnd() {
  document.getElementById('end-heading').textContent = ended ? 'You have stopped this sale' : 'Stop selling';
  document.getElementById('end-text').textContent = ended
    ? 'Nothing new is held. What is held can still be paid, and nothing is refunded.'
    : 'From then on nothing new is held. What is held can still be paid, nothing is refunded, and you can go on selling later.';
  endButton.textContent = ended ? 'Go on selling' : 'Stop selling';
}

const chosen = () => classOf.selectedOptions[0];
const drawCapacity = () => { to.value = chosen().dataset.capacity; };

/** Takes the sale as it is now: hidden classes too. What is being typed stays. */
onSale((view) => {
  ended = Boolean(view.ended_at);
  drawEnd();
  const [before, isTyped] = [classOf.value, classOf.value && to.value !== chosen().dataset.capacity];
  classOf.replaceChildren(...view.classes.map((c) => {
    const option = new Option(`${c.label || c.class}${c.hidden ? ' (hidden)' : ''}`, c.class);
    option.dataset.capacity = c.capacity;
    return option;
  }));
  classOf.value = before || view.classes[0].class;
  if (!isTyped) drawCapacity();
});

/** Shows it. */
export function showRunning(asOrganiser) {
  admin = asOrganiser;
  endSale.hidden = capacity.hidden = false;
}

export function hideRunning() {
  endSale.hidden = capacity.hidden = true;
}

endSale.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (isOff(endButton)) return;
  setOff(endButton, true);
  const answer = await admin(`/v1/sales/${sale}/${ended ? 'reopen' : 'end'}`, 'POST');
  setOff(endButton, false);
  if (answer.status === 200) {
    ended = Boolean(answer.body.ended_at);
    drawEnd();
    readSale(); // the forms go by its new version
    tell(endMessage, '', ended ? 'The sale is stopped. Within five seconds every part of the box office knows.' : 'The sale goes on.');
  } else if (isOpenEnded(answer)) tell(endMessage, 'warn', NO_ANSWER);
  else tell(endMessage, 'bad', whyRefused(answer.body));
});

classOf.addEventListener('change', () => {
  drawCapacity();
  tell(capacityMessage, '', '');
});

capacity.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (isOff(capacityButton)) return;
  const number = Number(to.value);
  if (wish?.class !== classOf.value || wish.to !== number) wish = { key: uuidv7(Date.now()), class: classOf.value, to: number };
  setOff(capacityButton, true);
  const answer = await admin(`/v1/sales/${sale}/classes/${wish.class}/capacity`, 'PUT', { capacity: wish.to }, { 'Idempotency-Key': `"${wish.key}"` });
  setOff(capacityButton, false);
  if (isOpenEnded(answer)) {
    tell(capacityMessage, 'warn', NO_ANSWER);
    return;
  }
  wish = null; // answered for good
  if (answer.status === 200) {
    const { class: name, before, capacity: now } = answer.body;
    [...classOf.options].find((option) => option.value === name).dataset.capacity = now;
    readSale();
    tell(capacityMessage, '', `Class ${name} has ${now} tickets now; it had ${before}.`);
  } else tell(capacityMessage, 'bad', whyRefused(answer.body));
});
