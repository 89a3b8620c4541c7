// The proof of work that the box office may ask of who joins a queue: a number that,
// written behind the challenge, gives a SHA-256 with so many leading zero bits. It
// runs in a worker, so that the page stays alive.

const CHUNK = 5000; // tries between two breaths, where there is no worker

/** Answers the solution, as text. */
export async function solve(challenge, bits) {
  let worker;
  try {
    worker = new Worker('/static/proof-worker.js', { type: 'module' });
    return await new Promise((done, fail) => {
      worker.onmessage = ({ data }) => done(data);
      worker.onerror = fail;
      worker.postMessage({ challenge, bits });
    });
  } catch {
    return solveHere(challenge, bits); // an old browser, or one that forbids workers
  } finally {
    worker?.terminate();
  }
}

async function solveHere(challenge, bits) {
  const search = new Search(challenge, bits);
  for (;;) {
    const solution = search.run(CHUNK);
    if (solution !== null) return solution;
    await new Promise((next) => setTimeout(next));
  }
}

/** Tries 0, 1, 2, … behind the challenge. What is the same in all tries is hashed once. */
export class Search {
  #next = 0;
  #bits;
  #state; // after the challenge's whole blocks
  #tail; // the rest of the challenge
  #hashed; // bytes in #state

  constructor(challenge, bits) {
    const bytes = new TextEncoder().encode(challenge);
    this.#bits = bits;
    this.#state = Int32Array.from(START);
    this.#hashed = bytes.length - (bytes.length % 64);
    for (let at = 0; at < this.#hashed; at += 64) compress(this.#state, bytes, at);
    this.#tail = bytes.subarray(this.#hashed);
  }

  /** Tries so many, and answers the solution or null. */
  run(tries) {
    const blocks = new Uint8Array(192);
    blocks.set(this.#tail);
    const view = new DataView(blocks.buffer);
    const state = new Int32Array(8);
    for (const end = this.#next + tries; this.#next < end; this.#next++) {
      const text = String(this.#next);
      let length = this.#tail.length;
      for (let i = 0; i < text.length; i++) blocks[length++] = text.charCodeAt(i);
      // FIPS 180-4: a one bit, zeros, and the length in bits at the end of a block.
      const whole = length + 9 > 64 ? 128 : 64;
      blocks.fill(0, length, whole);
      blocks[length] = 0x80;
      view.setUint32(whole - 4, (this.#hashed + length) * 8);
      state.set(this.#state);
      for (let at = 0; at < whole; at += 64) compress(state, blocks, at);
      if (leadingZeroBits(state) >= this.#bits) return text;
    }
    return null;
  }
}

function leadingZeroBits(words) {
  let bits = 0;
  for (const word of words) {
    const zeros = Math.clz32(word);
    bits += zeros;
    if (zeros < 32) break;
  }
  return bits;
}

// ---- SHA-256 (FIPS 180-4). WebCrypto's is asynchronous, which costs more than the
// hash, and is missing where a page is not served over TLS.

const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const K = Int32Array.from((() => {
  const roots = [];
  for (let n = 2; roots.length < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) prime &&= n % d !== 0;
    if (prime) roots.push(cubeRootFraction(BigInt(n)));
  }
  return roots;
})());

/** The 32 bits behind the point of n's cube root, exactly: the whole root of n·2^96. */
function cubeRootFraction(n) {
  const target = n << 96n;
  let low = 0n;
  let high = 1n << 36n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** 3n <= target) low = middle;
    else high = middle;
  }
  return Number(low & 0xffffffffn) | 0;
}

const W = new Int32Array(64);

function compress(state, bytes, at) {
  for (let i = 0; i < 16; i++, at += 4) W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15];
    const y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}
