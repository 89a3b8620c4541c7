// What the panels of the organiser's page say after a button was pressed.

/** Fills a notice: `kind` is '', 'warn' or 'bad'. Without a text there is none. */
export function tell(where, kind, text) {
  where.hidden = !text;
  where.className = `notice ${kind}`;
  where.textContent = text; // also what it says already: it answers another press
}

/** Why the box office refused, in its own words. */
export const whyRefused = ({ detail, title }) => detail ?? title ?? 'It was refused.';
