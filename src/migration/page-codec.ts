/**
 * One block of pages: the payload of a `pages` message (rule MG7). Numbers are big-endian.
 *
 *   0        1         3        5                                   (full + 7) / 8   the rest
 *   +--------+---------+--------+----------------+----------------+----------------+----------------------------+
 *   | coding | zeros   | full   | page list      | page list      | bitmap of      | data of the full pages     |
 *   |  u8    |  u16    |  u16   | of zero pages  | of full pages  | differences    | in the order of their list |
 *   +--------+---------+--------+----------------+----------------+----------------+----------------------------+
 *
 *   coding  0 = data as it is, 1 = data compressed (zstd)
 *   zeros   number of pages that hold only zeros, at most MAX_ZERO_PAGES_PER_BLOCK; they carry no data
 *   full    number of pages that follow as data, at most MAX_DATA_PAGES_PER_BLOCK
 *   bitmap  bit n (of byte n / 8, from the lowest): the data of the nth full page is the difference (exclusive or) from
 *           what the target holds of it; bits beyond the last page are 0
 */
import { Bitmap } from '../shared/bitmap.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import { MAX_DATA_PAGES_PER_BLOCK, MAX_ZERO_PAGES_PER_BLOCK } from './limits.ts';
import { asMigrationError, MigrationError } from './migration-error.ts';
import { appendPageList, readPageList } from './page-list.ts';
import type { Compressor } from './ports.ts';
import { MAX_PAYLOAD_BYTES } from './wire.ts';

const BLOCK_HEADER_BYTES = 5;
const CODING_RAW = 0;
const CODING_COMPRESSED = 1;
/** Compressed data that is larger than this share of the original costs the target more than it saves. */
const WORTHWHILE = 0.95;

export interface PageBlock {
  /** Pages that hold only zeros, rising. */
  readonly zeros: Uint32Array;
  /** Pages with data, rising. */
  readonly full: Uint32Array;
  /** For each page of `full` 1 if its data is the difference from what the target holds, else 0. */
  readonly differences: Uint8Array;
  /** full.length * 4096 bytes. */
  readonly data: Uint8Array;
}

/** Encodes a block; null if it does not fit into one message and must be cut (a block of one page always fits). */
export function serializeBlock(block: PageBlock, compressor: Compressor): Uint8Array | null {
  const list: number[] = [];
  appendPageList(block.zeros, list);
  appendPageList(block.full, list);
  list.push(...bitsOf(block.differences).bytes);
  const room = MAX_PAYLOAD_BYTES - BLOCK_HEADER_BYTES - list.length;
  let coding = CODING_RAW;
  let data = block.data;
  if (data.length > 0) {
    const compressed = compressor.compress(data);
    if (compressed.length < data.length * WORTHWHILE) {
      coding = CODING_COMPRESSED;
      data = compressed;
    }
  }
  if (data.length > room) return null;
  const payload = new Uint8Array(BLOCK_HEADER_BYTES + list.length + data.length);
  const view = new DataView(payload.buffer);
  view.setUint8(0, coding);
  view.setUint16(1, block.zeros.length);
  view.setUint16(3, block.full.length);
  payload.set(list, BLOCK_HEADER_BYTES);
  payload.set(data, BLOCK_HEADER_BYTES + list.length);
  return payload;
}

/** Decodes a block for a VM of `pageLimit` pages. Sizes are checked before anything is allocated. Throws MigrationError('bad-message'). */
export function parseBlock(payload: Uint8Array, pageLimit: number, compressor: Compressor): PageBlock {
  if (payload.length < BLOCK_HEADER_BYTES) throw bad('is cut off in its header');
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const coding = view.getUint8(0);
  const zeroCount = view.getUint16(1);
  const fullCount = view.getUint16(3);
  if (coding !== CODING_RAW && coding !== CODING_COMPRESSED) throw bad(`has the unknown coding ${coding}`);
  if (zeroCount > MAX_ZERO_PAGES_PER_BLOCK) throw bad(`names ${zeroCount} zero pages; ${MAX_ZERO_PAGES_PER_BLOCK} are allowed`);
  if (fullCount > MAX_DATA_PAGES_PER_BLOCK) throw bad(`carries ${fullCount} pages; ${MAX_DATA_PAGES_PER_BLOCK} are allowed`);
  if (zeroCount + fullCount === 0) throw bad('holds no page');
  const zeros = readPageList(payload, BLOCK_HEADER_BYTES, zeroCount, pageLimit);
  const full = readPageList(payload, zeros.offset, fullCount, pageLimit);
  const bitmapBytes = (fullCount + 7) >> 3;
  const differences = readBits(payload.subarray(full.offset, full.offset + bitmapBytes), fullCount);
  const data = readData(payload.subarray(full.offset + bitmapBytes), coding, fullCount * PAGE_SIZE, compressor);
  return { zeros: zeros.pages, full: full.pages, differences, data };
}

function bitsOf(flags: Uint8Array): Bitmap {
  const bits = new Bitmap(flags.length);
  flags.forEach((flag, index) => {
    if (flag === 1) bits.add(index);
  });
  return bits;
}

function readBits(bytes: Uint8Array, count: number): Uint8Array {
  if (bytes.length !== (count + 7) >> 3) throw bad('is cut off in its bitmap');
  if ((count & 7) !== 0 && (bytes.at(-1) ?? 0) >> (count & 7) !== 0) throw bad('marks more differences than it has pages');
  const bits = new Bitmap(count, bytes);
  return Uint8Array.from({ length: count }, (_, index) => (bits.has(index) ? 1 : 0));
}

/** True if the page holds only zeros. `page` must start on a multiple of 4 in its buffer. */
export function isZeroPage(page: Uint8Array): boolean {
  const words = new Uint32Array(page.buffer, page.byteOffset, page.length >> 2);
  for (let at = 0; at < words.length; at++) {
    if (words[at] !== 0) return false;
  }
  return true;
}

function readData(data: Uint8Array, coding: number, expectedBytes: number, compressor: Compressor): Uint8Array {
  if (coding === CODING_RAW || expectedBytes === 0) {
    if (data.length !== expectedBytes) throw bad(`carries ${data.length} bytes of data where ${expectedBytes} belong`);
    return data;
  }
  let raw: Uint8Array;
  try {
    raw = compressor.decompress(data, expectedBytes);
  } catch (error) {
    throw bad(`cannot be decompressed: ${asMigrationError(error, 'bad-message').message}`);
  }
  if (raw.length !== expectedBytes) throw bad(`holds ${raw.length} bytes of data where ${expectedBytes} belong`);
  return raw;
}

function bad(what: string): MigrationError {
  return new MigrationError('bad-message', `A block of pages ${what}.`);
}
