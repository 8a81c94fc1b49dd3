/**
 * LZ4 block compression (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), so that the boot loader, which has
 * no room for more, can unpack the kernel. Deterministic: the same bytes in, the same bytes out.
 */

const MIN_MATCH = 4;
/** The format's own limits: the last 5 bytes are literals, the last match begins 12 bytes before the end. */
const LAST_LITERALS = 5;
const MATCH_LIMIT = 12;
const MAX_DISTANCE = 65535;
const HASH_BITS = 16;
/** Candidates tried per position; more packs a little better and takes longer. */
const MAX_TRIES = 24;

class Output {
  bytes: Uint8Array;
  used = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  put(byte: number): void {
    this.bytes[this.used++] = byte;
  }

  /** The rest of a length whose first 15 went into the token. */
  putLength(length: number): void {
    let rest = length;
    for (; rest >= 255; rest -= 255) this.put(255);
    this.put(rest);
  }

  putSequence(literals: Uint8Array, distance: number, match: number): void {
    const matchCode = match === 0 ? 0 : match - MIN_MATCH;
    this.put((Math.min(literals.length, 15) << 4) | Math.min(matchCode, 15));
    if (literals.length >= 15) this.putLength(literals.length - 15);
    this.bytes.set(literals, this.used);
    this.used += literals.length;
    if (match === 0) return;
    this.put(distance & 0xff);
    this.put(distance >> 8);
    if (matchCode >= 15) this.putLength(matchCode - 15);
  }
}

/** One LZ4 block without a frame. */
export function compressLz4(input: Uint8Array): Uint8Array {
  const output = new Output(input.length + Math.ceil(input.length / 255) + 16);
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const heads = new Int32Array(1 << HASH_BITS).fill(-1);
  const chain = new Int32Array(MAX_DISTANCE + 1);
  const lastStart = input.length - MATCH_LIMIT;
  const matchEnd = input.length - LAST_LITERALS;
  let anchor = 0;
  let inserted = 0;

  const hashAt = (at: number): number => Math.imul(view.getUint32(at, true), 2654435761) >>> (32 - HASH_BITS);
  const insertUpTo = (end: number): void => {
    for (; inserted < end; inserted++) {
      const hash = hashAt(inserted);
      chain[inserted & MAX_DISTANCE] = heads[hash] ?? -1;
      heads[hash] = inserted;
    }
  };

  let at = 0;
  while (at < lastStart) {
    insertUpTo(at);
    const first = view.getUint32(at, true);
    let bestLength = 0;
    let bestDistance = 0;
    let candidate = heads[hashAt(at)] ?? -1;
    for (let tries = MAX_TRIES; tries > 0 && candidate >= 0 && at - candidate <= MAX_DISTANCE; tries--) {
      if (view.getUint32(candidate, true) === first && input[candidate + bestLength] === input[at + bestLength]) {
        let length = MIN_MATCH;
        while (at + length < matchEnd && input[candidate + length] === input[at + length]) length++;
        if (length > bestLength) {
          bestLength = length;
          bestDistance = at - candidate;
        }
      }
      const next = chain[candidate & MAX_DISTANCE] ?? -1;
      if (next >= candidate) break;
      candidate = next;
    }
    if (bestLength < MIN_MATCH) {
      at++;
      continue;
    }
    output.putSequence(input.subarray(anchor, at), bestDistance, bestLength);
    insertUpTo(Math.min(at + bestLength, lastStart));
    at += bestLength;
    anchor = at;
  }
  output.putSequence(input.subarray(anchor), 0, 0);
  return output.bytes.slice(0, output.used);
}
