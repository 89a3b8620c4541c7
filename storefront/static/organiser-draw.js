// The draw on the organiser's page, where it waits for what only the organiser can give it.
import { isOff, isUnanswered, setOff, setText, timeText } from './common.js';
import { tell, whyRefused } from './organiser-notice.js';

// How long a draw waits until the organiser may do without: waitingroom.WaiveAfter.
const WAIVE_AFTER_MS = 10 * 60 * 1000;

const panel = document.getElementById('draw-panel');
const sale = document.getElementById('organiser').dataset.sale;
const field = document.getElementById('draw-number');
const why = document.getElementById('draw-why');
const message = document.getElementById('draw-message');
const buttons = [document.getElementById('draw-give'), document.getElementById('draw-waive')];

let admin = null;
let shown = null; // the view that settling answers goes there
let source = '';

/** Shows the panel while the draw waits. `asAdmin` asks with the organiser's token; `show` takes the queue as it is after. */
export function showDraw(draw, asAdmin, show) {
  admin = asAdmin;
  shown = show;
  source = draw.source;
  const waits = draw.state === 'delayed' || (draw.state === 'closed' && source === 'witness');
  panel.hidden = !waits || source === 'none';
  if (panel.hidden) return;
  const byWitness = source === 'witness';
  setText(document.getElementById('draw-status'), byWitness
    ? 'The list is closed. Nobody is let in until the witness’s number is here.'
    : `Round ${draw.beacon.round} of the beacon has not come. Nobody is let in until it is here; the box office keeps asking for it.`);
  setText(document.getElementById('draw-number-label'), byWitness ? 'The witness’s number' : 'The round’s signature');
  setText(document.getElementById('draw-note'), byWitness
    ? '64 hexadecimal digits. It must be the number that the witness committed to.'
    : `96 hexadecimal digits: “signature” at any drand server, under /${draw.beacon.chain}/public/${draw.beacon.round}. The box office checks it.`);
  const from = new Date(Math.max(Date.parse(draw.published_at), Date.parse(draw.beacon?.at ?? draw.published_at)) + WAIVE_AFTER_MS);
  setText(document.getElementById('draw-why-note'),
    `Possible from ${timeText(from.toISOString(), { dateStyle: 'medium', timeStyle: 'short' })} on. It cannot be undone. Everybody reads it, for good: ` +
    'who draws without the number could have chosen between two orders.');
}

export function hideDraw() {
  panel.hidden = true;
}

async function settle(body) {
  if (buttons.some(isOff)) return;
  for (const button of buttons) setOff(button, true);
  const answer = await admin(`/v1/sales/${sale}/queue/draw`, 'POST', body);
  for (const button of buttons) setOff(button, false);
  if (answer.status === 200) {
    field.value = why.value = '';
    tell(message, '', 'The draw has it. The places are there in a moment.');
    shown(answer.body);
  } else if (isUnanswered(answer)) {
    tell(message, 'warn', 'No answer: the draw may have it or not. Press the button again, that does no harm.');
  } else {
    tell(message, 'bad', [whyRefused(answer.body), ...(answer.body.errors ?? []).map((e) => e.message)].join(' '));
  }
}

panel.addEventListener('submit', (event) => {
  event.preventDefault();
  const given = field.value.trim();
  if (!given) {
    field.focus();
    return;
  }
  settle(source === 'witness' ? { witness_secret: given } : { beacon_signature: given });
});
document.getElementById('draw-waive').addEventListener('click', () => {
  const reason = why.value.trim();
  if (reason) settle({ waive: reason });
  else why.focus();
});
