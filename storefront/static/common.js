// What both pages share: money, waiting, and keeping things across a reload.

/** Writes minor units as people do; agrees with Money in Go. */
export function money(minor, currency) {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance. */
export function uuidv7() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let ms = Date.now();
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
 * Asks the API. Never throws: a failure without an answer has status 0.
 * retryAfter is in milliseconds, 0 without a hint.
 */
export async function ask(path, options = {}) {
  try {
    const response = await fetch(path, { cache: 'no-store', ...options, signal: AbortSignal.timeout(20_000) });
    const body = await response.json().catch(() => ({}));
    return {
      status: response.status,
      code: body.code ?? '',
      body,
      retryAfter: 1000 * Number(response.headers.get('Retry-After') ?? 0),
      date: Date.parse(response.headers.get('Date') ?? ''),
    };
  } catch {
    return { status: 0, code: '', body: {}, retryAfter: 0, date: NaN };
  }
}
