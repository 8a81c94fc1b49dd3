/**
 * Sets of page numbers on the wire: runs of consecutive pages, each as two unsigned LEB128 numbers.
 *
 *   run := gap:varint  length:varint     gap = pages between the end of the run before (first: page 0) and this one
 *
 * Numbers rise, runs do not touch (gap >= 1 but for the first run), and every number has its shortest form: one set has
 * one encoding.
 */
import { MigrationError } from './migration-error.ts';

/** Longest varint accepted: 28 bits, above any page number (limits.ts, MAX_PAGES). */
const MAX_VARINT_BYTES = 4;

/** Appends the encoding of `pages` (rising, no page twice) to `into`. */
export function appendPageList(pages: ArrayLike<number>, into: number[]): void {
  let end = 0;
  let at = 0;
  while (at < pages.length) {
    const start = pages[at] ?? 0;
    let length = 1;
    while (at + length < pages.length && pages[at + length] === start + length) length++;
    appendVarint(start - end, into);
    appendVarint(length, into);
    end = start + length;
    at += length;
  }
}

/**
 * Reads exactly `count` page numbers, all below `limit`, from `bytes` at `offset`. `count` must have been bounded by the
 * caller. Throws MigrationError('bad-message').
 */
export function readPageList(bytes: Uint8Array, offset: number, count: number, limit: number): { pages: Uint32Array; offset: number } {
  const pages = new Uint32Array(count);
  let filled = 0;
  let end = 0;
  while (filled < count) {
    const gap = readVarint(bytes, offset);
    const length = readVarint(bytes, gap.offset);
    offset = length.offset;
    const start = end + gap.value;
    end = start + length.value;
    if (length.value === 0) throw bad('a run of no pages');
    if (filled > 0 && gap.value === 0) throw bad('two runs that touch');
    if (length.value > count - filled) throw bad(`more pages than the ${count} it announces`);
    if (end > limit) throw bad(`page ${end - 1}, and the VM has ${limit} pages`);
    for (let page = start; page < end; page++) pages[filled++] = page;
  }
  return { pages, offset };
}

function appendVarint(value: number, into: number[]): void {
  while (value >= 0x80) {
    into.push((value & 0x7f) | 0x80);
    value >>>= 7;
  }
  into.push(value);
}

function readVarint(bytes: Uint8Array, offset: number): { value: number; offset: number } {
  let value = 0;
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = bytes[offset + index];
    if (byte === undefined) throw bad('a number that is cut off');
    value |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) {
      if (byte === 0 && index > 0) throw bad('a number not in its shortest form');
      return { value, offset: offset + index + 1 };
    }
  }
  throw bad('a number that is too long');
}

function bad(what: string): MigrationError {
  return new MigrationError('bad-message', `A list of pages holds ${what}.`);
}
