// How a sale goes, on the organiser's page: numbers and a plot, from the view that costs the sale nothing.
import { money, number, setText, sleep, timeText } from './common.js';

const POLL_MS = 3000;
const WIDTH = 600;
const HEIGHT = 160;
const TOP = 18; // room for the label of the highest
const COLOURS = 6;

const panel = document.getElementById('figures');
const sale = document.getElementById('organiser').dataset.sale;
const plot = document.getElementById('plot');
const spans = [...panel.querySelectorAll('[data-span]')];

let admin = null;
let following = false;
let minutes = 0; // how far back the plot goes; 0: to the first sale
let drawn = '';

/** Shows the panel and goes on asking. `asAdmin` asks with the organiser's token. */
export function showFigures(asAdmin) {
  admin = asAdmin;
  if (!following) follow();
}

export function hideFigures() {
  following = false;
  panel.hidden = true;
}

async function follow() {
  following = true;
  while (following) {
    if (!document.hidden) await look();
    await sleep(POLL_MS);
  }
}

async function look() {
  const from = minutes > 0 ? new Date(Date.now() - minutes * 60_000) : null;
  const { status, body } = await admin(`/v1/sales/${sale}/figures${from ? `?from=${from.toISOString()}` : ''}`);
  if (!following) return;
  if (status === 404) hideFigures(); // this node does not show them
  if (status !== 200) {
    setText(document.getElementById('figures-lag'), 'The box office does not answer right now. This page keeps trying.');
    return;
  }
  panel.hidden = false;
  draw(body, from);
}

function draw(view, from) {
  const behind = view.lag.events === 0
    ? 'Up to date.'
    : `${number(view.lag.events)} event${view.lag.events === 1 ? '' : 's'} behind, since ${number(Math.ceil(view.lag.seconds))} s.`;
  setText(document.getElementById('figures-lag'), `${behind} From the event log: what is held is not in it.`);
  const [takings] = view.takings;
  const figures = {
    sold: number(view.classes.reduce((n, c) => n + c.sold - c.voided, 0)),
    orders: number(takings.orders - takings.refunded_orders),
    gross: money(takings.gross_minor, takings.currency),
    refunded: money(takings.refunded_minor, takings.currency),
    refunding: money(takings.refunding_minor, takings.currency),
    net: money(takings.net_minor, takings.currency),
    converted: conversion(view.holds),
  };
  for (const [name, text] of Object.entries(figures)) setText(panel.querySelector(`[data-figure="${name}"]`), text);
  const classes = view.classes.map((c) => c.class);
  const now = JSON.stringify([view.steps, view.step_minutes, view.classes, view.refunds, from && Math.floor(from / 60_000)]);
  if (now === drawn) return; // a plot that is looked at stays
  drawn = now;
  drawClasses(view.classes);
  drawRefunds(view.refunds);
  drawPlot(view, classes, from);
}

/** Of the holds that ended, how many were paid. Those without a sale are told only where somebody asks for their events. */
function conversion({ paid, expired, failed, canceled }) {
  const unsold = expired + failed + canceled;
  return unsold === 0 ? 'not told' : `${Math.round(100 * paid / (paid + unsold))} %`;
}

function row(...cells) {
  const tr = document.createElement('tr');
  cells.forEach((text, i) => {
    const cell = document.createElement(i === 0 ? 'th' : 'td');
    if (i === 0) cell.scope = 'row';
    cell.append(...[text].flat());
    tr.append(cell);
  });
  return tr;
}

function drawClasses(classes) {
  document.getElementById('figures-classes').replaceChildren(...classes.map((c, i) => {
    const mark = document.createElement('span');
    mark.className = `mark series-${i % COLOURS}`;
    return row([mark, c.class], number(c.sold), number(c.voided), number(c.sold - c.voided));
  }));
}

const REASONS = {
  organiser: 'Refunded by you', sale_canceled: 'The sale was canceled', none_left: 'Paid too late, none was left', canceled: 'Paid after canceling',
  unknown_order: 'Of an order that nobody knows', wrong_amount: 'Not the price', second_capture: 'Paid twice', unrecordable: 'Could not be recorded',
};

function drawRefunds(refunds) {
  document.getElementById('figures-refunds').hidden = refunds.length === 0;
  document.querySelector('#figures-refunds tbody').replaceChildren(...refunds.map((r) => row(
    REASONS[r.reason] ?? r.reason, `${number(r.refunded)} of ${number(r.begun)}`, money(r.refunded_minor, r.currency),
  )));
}

function shape(name, attributes, text = '') {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.textContent = text;
  return element;
}

const when = (at) => timeText(at, { dateStyle: 'short', timeStyle: 'short' });

const STEPS = { 1: 'minute', 5: '5 minutes', 15: '15 minutes', 60: 'hour', 240: '4 hours', 1440: 'day', 10080: 'week' };

/** Bars of tickets, one a step of time, the classes on top of each other. */
function drawPlot({ steps, step_minutes: stepMinutes }, classes, from) {
  const step = stepMinutes * 60_000;
  const bars = new Map(); // by time: how many of each class
  for (const s of steps) {
    const at = Date.parse(s.at);
    if (!bars.has(at)) bars.set(at, new Array(classes.length).fill(0));
    bars.get(at)[classes.indexOf(s.class)] += s.tickets;
  }
  const times = [...bars.keys()];
  const begin = from ? Math.floor(from / step) * step : Math.min(...times);
  const end = Math.max(...times, from ? Math.floor(Date.now() / step) * step : 0);
  const sums = new Map([...bars].map(([at, counts]) => [at, counts.reduce((a, b) => a + b, 0)]));
  const most = Math.max(0, ...sums.values());
  const title = `Tickets sold by ${STEPS[stepMinutes] ?? `${stepMinutes} minutes`}`;
  const caption = document.getElementById('plot-caption');
  if (most === 0) {
    plot.replaceChildren();
    plot.setAttribute('aria-label', title);
    setText(caption, from ? 'Nothing was sold in this time.' : 'Nothing is sold yet.');
    return;
  }
  const width = WIDTH / ((end - begin) / step + 1);
  const shapes = [shape('line', { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: 'axis' })];
  for (const [at, counts] of bars) {
    const bar = shape('g', {});
    bar.append(shape('title', {}, `${when(at)}: ${counts.map((n, i) => n && `${number(n)} ${classes[i]}`).filter(Boolean).join(', ')}`));
    let y = HEIGHT;
    counts.forEach((n, i) => {
      const height = (HEIGHT - TOP) * n / most;
      y -= height;
      const x = (at - begin) / step * width;
      if (n > 0) bar.append(shape('rect', { x, y, width: Math.max(width * .86, .8), height, class: `series-${i % COLOURS}` }));
    });
    shapes.push(bar);
  }
  const peak = [...sums].find(([, n]) => n === most)[0];
  const x = (peak - begin + step / 2) / step * width;
  const anchor = x < 40 ? 'start' : x > WIDTH - 40 ? 'end' : 'middle';
  shapes.push(shape('text', { x: anchor === 'middle' ? x : anchor === 'start' ? 0 : WIDTH, y: TOP - 5, 'text-anchor': anchor }, number(most)));
  plot.replaceChildren(...shapes);
  plot.setAttribute('aria-label', `${title}, at most ${number(most)} at ${when(peak)}`);
  setText(caption, `${title}, from ${when(begin)} to ${when(end)}`);
}

for (const button of spans) {
  button.addEventListener('click', () => {
    minutes = Number(button.dataset.span);
    for (const other of spans) other.setAttribute('aria-pressed', String(other === button));
    if (admin) look();
  });
}
