// Times by the clocks of a zone, as a field for a date and a time has them, and the moments that they are.

const DAY_MS = 24 * 60 * 60 * 1000;

/** The zone of whoever looks at the page. */
export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

export function isZone(zone) {
  if (!zone) return false; // Intl takes none for one's own
  try {
    Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** How far a zone's clocks are ahead of UTC at a moment, in milliseconds. */
function offsetOf(moment, zone) {
  const style = { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' };
  const at = {};
  for (const { type, value } of new Intl.DateTimeFormat('en-US', style).formatToParts(moment)) at[type] = Number(value);
  return Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute, at.second) - Math.floor(moment / 1000) * 1000;
}

/** What the clocks of a zone show at a moment (RFC 3339), as a field has it; empty for none. */
export function localOf(time, zone) {
  if (!time) return '';
  const moment = Date.parse(time);
  const shown = new Date(moment + offsetOf(moment, zone)).toISOString();
  return shown.replace(/(:00)?\.000Z$|Z$/, '');
}

/**
 * The moment at which the clocks of a zone show a time, in RFC 3339; null if they never do, because they go forward
 * over it. Where they show it twice, because they go back, it is the first.
 */
export function momentOf(local, zone) {
  const shown = Date.parse(`${local}Z`);
  if (Number.isNaN(shown)) return null;
  const moments = [shown - DAY_MS, shown + DAY_MS].map((near) => shown - offsetOf(near, zone)).filter((moment) => moment + offsetOf(moment, zone) === shown);
  return moments.length > 0 ? new Date(Math.min(...moments)).toISOString().replace('.000Z', 'Z') : null;
}
