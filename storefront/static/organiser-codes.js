// The organiser's page, codes for hidden classes.
import { isOff, isUnanswered, number, setOff, setText } from './common.js';
import { onSale } from './organiser-definition.js';
import { tell, whyRefused } from './organiser-notice.js';

const panel = document.getElementById('codes-panel');
const form = document.getElementById('codes-form');
const sale = document.getElementById('organiser').dataset.sale;
const which = document.getElementById('codes-class');
const count = document.getElementById('codes-number');
const uses = document.getElementById('codes-uses');
const own = document.getElementById('codes-own');
const made = document.getElementById('codes-made');
const list = document.getElementById('codes-list');
const file = document.getElementById('codes-file');
const button = form.querySelector('button.primary');
const message = document.getElementById('codes-message');

let admin = null;
let hidden = []; // the sale's hidden classes
let isLost = false; // codes are shown that nobody has taken yet

onSale(({ classes }) => {
  if (which.options.length > 0) return; // which classes are hidden never changes
  hidden = classes.filter((c) => c.hidden);
  if (hidden.length !== 1) which.append(new Option('All hidden classes', ''));
  which.append(...hidden.map((c) => new Option(c.label || c.class, c.class)));
});

export async function showCodes(asOrganiser) {
  admin = asOrganiser;
  panel.hidden = hidden.length === 0;
  if (!panel.hidden) await countThem();
}

export function hideCodes() {
  panel.hidden = true;
}

async function countThem() {
  const { status, body } = await admin(`/v1/sales/${sale}/class-codes`);
  if (status !== 200) return;
  setText(document.getElementById('codes-count'), body.codes === 0
    ? 'There are no codes yet: nobody can buy a hidden class.'
    : `${number(body.codes)} code${body.codes === 1 ? '' : 's'}, for ${number(body.uses)} order${body.uses === 1 ? '' : 's'}: ${number(body.used)} paid, ${number(body.held)} on hold.`);
}

/** Shows codes until others are made. */
function show(codes) {
  made.hidden = codes.length === 0;
  isLost = codes.length > 0;
  list.value = codes.join('\n');
  URL.revokeObjectURL(file.href);
  file.href = URL.createObjectURL(new Blob([`${list.value}\n`], { type: 'text/plain' }));
  file.download = `codes-${sale}.txt`;
}

for (const [taken, how] of [[file, 'click'], [list, 'copy']]) taken.addEventListener(how, () => { isLost = false; });
window.addEventListener('beforeunload', (event) => {
  if (!isLost) return;
  event.preventDefault();
  event.returnValue = ''; // for browsers before 2024
});

const NAMES = { count: 'How many codes', uses: 'Orders for each code', class: 'The class', codes: 'Your own codes' };
const named = (field) => NAMES[field] ?? field.replace(/^codes\[(\d+)\]$/, (_, i) => `Code ${Number(i) + 1} of your own`);

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (isOff(button)) return;
  const codes = own.value.split('\n').map((line) => line.trim()).filter(Boolean);
  if ((codes.length > 0) === (count.value !== '')) {
    tell(message, 'bad', 'Say either how many codes to make, or which.');
    count.focus();
    return;
  }
  if (isLost && !window.confirm('The codes that you see now are saved nowhere. Make others all the same?')) return;
  const wish = codes.length > 0 ? { codes } : { count: Number(count.value) };
  setOff(button, true);
  const answer = await admin(`/v1/sales/${sale}/class-codes`, 'POST', { ...wish, uses: Number(uses.value), class: which.value || undefined });
  setOff(button, false);
  const { status, body } = answer;
  if (status === 201) {
    show(body.codes ?? []);
    count.value = own.value = '';
    tell(message, '', `${number(body.made)} code${body.made === 1 ? ' is' : 's are'} new.`);
    await countThem();
  } else if (isUnanswered(answer)) {
    tell(message, 'warn', codes.length > 0
      ? 'No answer. Press the button again: the same codes are never made twice.'
      : 'No answer. Press the button again: codes that were made without one are known to nobody.');
  } else {
    const wrong = (body.errors ?? []).map((e) => `${named(e.field)} ${e.message}.`);
    tell(message, 'bad', wrong.join(' ') || whyRefused(body));
  }
});
