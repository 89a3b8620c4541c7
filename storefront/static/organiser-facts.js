// The organiser's page, what people read of a sale and when it sells. Each field remembers what the sale said when it was
// read. Once somebody else has changed the sale, fields that were left alone show what it says now; in those that were
// edited the text stays, and what the sale says stands beneath.
import { isOff, isUnanswered, setOff } from './common.js';
import { changeSale, definition, onSale, refusalText } from './organiser-definition.js';
import { tell } from './organiser-notice.js';
import { isZone, localOf, momentOf, ownZone } from './organiser-times.js';

const fields = [];

/** A field of a form. `read` answers what a sale says there, as text; `name` is the member of the body that it fills. */
function addField(form, name, input, read) {
  const field = { form, name, input, read, base: null, label: labelOf(input) };
  fields.push(field);
  return field;
}

function labelOf(input) {
  const label = document.querySelector(`label[for="${input.id}"]`).textContent;
  const group = input.closest('fieldset')?.querySelector('legend').textContent;
  return group ? `${group}: ${label}` : label;
}

const isBox = (field) => field.input.type === 'checkbox';
const valueOf = (field) => (isBox(field) ? (field.input.checked ? 'yes' : 'no') : field.input.value.trim());
const isEdited = (field) => field.base !== null && valueOf(field) !== field.base;

function show(field, text) {
  if (isBox(field)) field.input.checked = text === 'yes';
  else field.input.value = text;
}

/** What a sale says there, as the field would have it: browsers write times in their own way. */
function readIn(field, view) {
  const text = field.read(view).trim();
  if (isBox(field)) return text;
  const input = field.input.cloneNode();
  input.value = text;
  return input.value;
}

/** Says beneath a field what the sale says there; null: nothing. */
function showTheirs(field, text) {
  document.getElementById(`${field.input.id}-theirs`)?.remove();
  if (text === null) return;
  const note = document.createElement('div');
  note.className = 'notice warn theirs';
  note.id = `${field.input.id}-theirs`;
  const [heading, quoted, take] = ['strong', 'p', 'button'].map((tag) => document.createElement(tag));
  heading.textContent = text === '' ? 'Somebody else has emptied this meanwhile.' : 'Somebody else has changed this meanwhile to:';
  quoted.className = 'lines-kept';
  quoted.textContent = text;
  take.type = 'button';
  take.className = 'quiet';
  take.textContent = `Take this: ${field.label}`;
  take.addEventListener('click', () => {
    show(field, text);
    showTheirs(field, null);
    field.input.focus();
  });
  note.append(heading, ...(text === '' ? [] : [quoted]), take);
  field.input.closest('.field').append(note);
}

/** Takes the sale as it is now, and names the fields that somebody else changed. */
function adopt(view) {
  if (classFields.length === 0) view.classes.forEach(addClass);
  useClocks(view);
  const news = [];
  for (const field of fields) {
    const [theirs, mine] = [readIn(field, view), valueOf(field)];
    if (field.base === null || theirs !== field.base) {
      const isNews = field.base !== null && theirs !== mine;
      if (isNews) news.push(field);
      if (isNews && isEdited(field)) showTheirs(field, theirs);
      else show(field, theirs);
    }
    field.base = theirs;
    if (!isEdited(field)) showTheirs(field, null);
  }
  fixOpening(view);
  for (const form of new Set(news.map((field) => field.form))) {
    form.closest('details').open = true; // what changed is to be seen
    tell(messageOf(form), 'warn', `Somebody else has changed meanwhile: ${news.filter((field) => field.form === form).map((field) => field.label).join(', ')}.`);
  }
  return news.map((field) => field.label);
}

const messageOf = (form) => form.querySelector('.notice[role="alert"]');

/** Why something cannot be sent, and which field it is. */
class Wrong extends Error {
  constructor(field, text) {
    super(`${field.label}: ${text}`);
    this.field = field;
  }
}

/** The moment of a field; what was not touched stays as exact as it was. */
function momentIn(field, zone, zoneBefore, before) {
  const text = valueOf(field);
  if (text === '') return undefined;
  if (text === field.base && zone === zoneBefore) return before;
  const moment = momentOf(text, zone);
  if (moment === null) throw new Wrong(field, `there is no such time in ${zone}, clocks go forward over it`);
  return moment;
}

/** Saves a form: `body` answers what is to be changed, or null. */
async function save(form, body) {
  const button = form.querySelector('button.primary');
  if (isOff(button)) return;
  const mine = fields.filter((field) => field.form === form);
  for (const { input } of mine) input.removeAttribute('aria-invalid');
  let sent = null;
  let classes = []; // of the body, in its order
  const make = () => {
    const changes = body();
    sent = new Map(mine.map((field) => [field, valueOf(field)]));
    classes = (changes?.classes ?? []).map((item) => definition().classes.findIndex((c) => c.class === item.class));
    return changes && { method: 'PATCH', body: changes };
  };
  const ofMember = (member) => mine.find(({ name }) => name === member.replace(/^classes\[(\d+)\]/, (_, i) => `classes[${classes[i]}]`));
  setOff(button, true);
  let answer = null;
  try {
    answer = await changeSale(make, () => sent.forEach((text, field) => { field.base = text; }));
  } catch (wrong) {
    if (!(wrong instanceof Wrong)) throw wrong;
    point(wrong.field);
    tell(messageOf(form), 'bad', `${wrong.message}.`);
    return;
  } finally {
    setOff(button, false);
  }
  if (answer === null) tell(messageOf(form), '', 'Nothing is changed.');
  else if (answer.status === 200) tell(messageOf(form), '', 'Saved.');
  else {
    tell(messageOf(form), answer.news || isUnanswered(answer) ? 'warn' : 'bad', refusalText(answer, (member) => ofMember(member)?.label));
    const [first] = (answer.body.errors ?? []).map(({ field }) => ofMember(field)).filter(Boolean);
    if (first) point(first);
  }
}

function point(field) {
  field.input.setAttribute('aria-invalid', 'true');
  field.input.focus();
}

// ---- what people read

const factsForm = document.getElementById('facts-form');
const fact = (id, name, read) => addField(factsForm, name, document.getElementById(`fact-${id}`), read);
const zoneOf = (name) => (isZone(name) ? name : ownZone());
const timeFact = (id, name, read) => fact(id, name, (view) => localOf(read(view), zoneOf(view.facts?.time_zone)));

const name = fact('name', 'name', (view) => view.name);
const description = fact('description', 'facts.description', (view) => view.facts?.description ?? '');
const venue = fact('venue', 'facts.venue.name', (view) => view.facts?.venue?.name ?? '');
const address = fact('address', 'facts.venue.address', (view) => view.facts?.venue?.address ?? '');
const zone = fact('zone', 'facts.time_zone', (view) => view.facts?.time_zone ?? '');
const starts = timeFact('starts', 'facts.starts_at', (view) => view.facts?.starts_at);
const ends = timeFact('ends', 'facts.ends_at', (view) => view.facts?.ends_at);
const asked = fact('asked', 'facts.holder_names.asked', (view) => (view.facts?.holder_names?.asked ? 'yes' : 'no'));
const until = timeFact('until', 'facts.holder_names.until', (view) => view.facts?.holder_names?.until);
const terms = fact('terms', 'facts.terms', (view) => view.facts?.terms ?? '');
const termsURL = fact('terms-url', 'facts.terms_url', (view) => view.facts?.terms_url ?? '');
const imprint = fact('imprint', 'facts.imprint', (view) => view.facts?.imprint ?? '');
const keptDays = fact('kept', 'buyers_kept_days', (view) => String(view.buyers_kept_days ?? ''));

for (const known of Intl.supportedValuesOf?.('timeZone') ?? []) document.getElementById('zones').append(new Option(known, known));

function changedFacts() {
  const edited = fields.filter((field) => field.form === factsForm && isEdited(field));
  if (edited.length === 0) return null;
  const body = {};
  if (isEdited(name)) body.name = valueOf(name);
  if (isEdited(keptDays)) body.buyers_kept_days = Number(valueOf(keptDays));
  if (edited.some((field) => field.name.startsWith('facts.'))) body.facts = factsNow();
  return body;
}

/** All facts, because they are replaced as a whole: what this form does not know stays. */
function factsNow() {
  const before = definition().facts ?? {};
  const text = (field) => valueOf(field) || undefined;
  if (text(zone) && !isZone(text(zone))) throw new Wrong(zone, 'must be the name of a time zone, such as Europe/Berlin');
  const [now, then] = [zoneOf(valueOf(zone)), zoneOf(zone.base)];
  const namesUntil = momentIn(until, now, then, before.holder_names?.until);
  const asks = valueOf(asked) === 'yes';
  return {
    ...before,
    description: text(description),
    venue: text(venue) || text(address) ? { ...before.venue, name: text(venue), address: text(address) } : undefined,
    time_zone: text(zone),
    starts_at: momentIn(starts, now, then, before.starts_at),
    ends_at: momentIn(ends, now, then, before.ends_at),
    terms: text(terms),
    terms_url: text(termsURL),
    imprint: text(imprint),
    holder_names: asks || namesUntil ? { ...before.holder_names, asked: asks, until: namesUntil } : undefined,
  };
}

factsForm.addEventListener('submit', (event) => {
  event.preventDefault();
  save(factsForm, changedFacts);
});

// ---- when it sells, and how much at once

const termsForm = document.getElementById('terms-form');
const opening = document.getElementById('sale-opens');
let clocks = ''; // the zone by which this form shows times
let asRead = null; // the sale as it was read last

function windowField(memberName, input, moment) {
  return Object.assign(addField(termsForm, memberName, input, (view) => localOf(moment(view), clocks)), { moment });
}

const opens = windowField('window.opens_at', opening, (view) => view.opens_at);
const closes = windowField('window.closes_at', document.getElementById('sale-closes'), (view) => view.closes_at);
const classFields = [];

/** The fields of a class, which are the same for good. */
function addClass(item, index) {
  const part = document.getElementById('terms-class').content.cloneNode(true);
  part.querySelector('legend').textContent = `Class ${item.class}${item.hidden ? ' (hidden)' : ''}`;
  for (const input of part.querySelectorAll('[data-part]')) {
    input.id = `class-${index}-${input.dataset.part}`;
    input.previousElementSibling.htmlFor = input.id;
  }
  document.getElementById('terms-classes').append(part);
  const input = (which) => document.getElementById(`class-${index}-${which}`);
  const of = (view) => view.classes.find((c) => c.class === item.class) ?? {};
  classFields.push({
    class: item.class, of,
    label: addField(termsForm, `classes[${index}].label`, input('label'), (view) => of(view).label ?? ''),
    opens: windowField(`classes[${index}].window.opens_at`, input('opens'), (view) => of(view).opens_at),
    closes: windowField(`classes[${index}].window.closes_at`, input('closes'), (view) => of(view).closes_at),
    most: addField(termsForm, `classes[${index}].max_per_order`, input('most'), (view) => String(of(view).max_per_order ?? '')),
  });
}

/** Shows the same moments by other clocks, once the sale has another time zone: nobody has changed them by that. */
function useClocks(view) {
  const to = zoneOf(view.facts?.time_zone);
  const timed = asRead && to !== clocks ? fields.filter(({ moment }) => moment) : [];
  const moments = timed.map((field) => (isEdited(field) ? momentOf(valueOf(field), clocks) : field.moment(asRead)));
  clocks = to;
  timed.forEach((field, i) => {
    if (moments[i] !== null) show(field, localOf(moments[i], clocks));
    field.base = readIn(field, asRead);
  });
  asRead = view;
  document.getElementById('terms-zone').textContent = `Times are by the clocks of ${clocks}.`;
}

/** What people were told of the opening is not taken back. */
function fixOpening(view) {
  const why = view.waiting_room
    ? 'The opening stays as it is: the draw of the waiting room goes by it.'
    : view.state === 'upcoming' ? '' : 'The opening stays as it is: the sale has opened. You can stop it below.';
  opening.readOnly = Boolean(why);
  const note = document.getElementById('opens-fixed');
  note.hidden = !why;
  note.textContent = why;
}

function changedTerms() {
  const view = definition();
  const windowOf = (from, to, before) => ({ opens_at: momentIn(from, clocks, clocks, before.opens_at), closes_at: momentIn(to, clocks, clocks, before.closes_at) });
  const body = {};
  if (isEdited(opens) || isEdited(closes)) body.window = windowOf(opens, closes, view);
  const classes = classFields.map((of) => ({
    class: of.class,
    label: isEdited(of.label) ? valueOf(of.label) : undefined,
    window: isEdited(of.opens) || isEdited(of.closes) ? windowOf(of.opens, of.closes, of.of(view)) : undefined,
    max_per_order: isEdited(of.most) ? Number(valueOf(of.most)) : undefined,
  })).filter(({ label, window: when, max_per_order: most }) => label !== undefined || when || most !== undefined);
  if (classes.length > 0) body.classes = classes;
  return body.window || body.classes ? body : null;
}

termsForm.addEventListener('submit', (event) => {
  event.preventDefault();
  save(termsForm, changedTerms);
});

const panels = ['facts-panel', 'terms-panel'].map((id) => document.getElementById(id));

export const showFacts = () => panels.forEach((panel) => { panel.hidden = false; });

export const hideFacts = () => panels.forEach((panel) => { panel.hidden = true; });

onSale(adopt);

// What was typed and not saved is not closed away by mistake.
window.addEventListener('beforeunload', (event) => {
  if (!fields.some(isEdited)) return;
  event.preventDefault();
  event.returnValue = ''; // for browsers before 2024
});
