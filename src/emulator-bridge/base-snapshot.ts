/**
 * The base snapshot: a machine's RAM, video memory and devices before its first prompt. Made once by the guest's recipe;
 * every machine starts from it, so that a migration only sends what differs.
 *
 *      0        4        8       12       16       20       24       28
 *     +--------+--------+--------+--------+--------+--------+--------+
 *     | "TMBS" | version| ram    | video  | device | stored | blocks |  pages of RAM and of video memory, bytes of the
 *     +--------+--------+--------+--------+--------+--------+--------+  device state, stored pages, blocks of them
 *     | bitmap: one bit per page of RAM, then of video memory: 1 = stored, 0 = zero; whole bytes
 *     +-----------------------------------------------------------------
 *     | device state (device-state.ts)
 *     +--------+--------------------------------------------------------
 *     | bytes  | zstd: the next BLOCK_PAGES stored pages                 once per block
 *     +--------+--------------------------------------------------------
 *
 * All integers are 32 bits, little-endian.
 */
import { compress } from '@bokuweb/zstd-wasm';
import { Bitmap } from '../shared/bitmap.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import type { Compressor, PageSpace, SourceVm } from '../migration/ports.ts';
import { MAX_DEVICE_STATE_BYTES } from './device-state.ts';
import { MachineError } from './machine-error.ts';
import { createCompressor } from './page-codec-engines.ts';

const MAGIC = 0x5342_4d54; // "TMBS"
const VERSION = 1;
const HEADER_BYTES = 28;
/** Pages in a block: large enough for the compressor to find repetitions, small enough to unpack without a copy of all. */
const BLOCK_PAGES = 1024;
/** A snapshot is packed once and read by every visitor: it may take its time. */
const ZSTD_LEVEL = 12;
/** Largest machine: 512 MiB of RAM. A cap on what a damaged file can make us allocate. */
const MAX_PAGES = 140_000;

export interface BaseSnapshot {
  readonly ramPages: number;
  readonly videoPages: number;
  readonly devices: Uint8Array;
  /** The stored pages, block by block: their numbers, and their data concatenated. All other pages are zero. */
  readonly blocks: readonly SnapshotBlock[];
  /** A stored page, 4096 bytes; null for any other. */
  page(number: number): Uint8Array | null;
}

interface SnapshotBlock {
  readonly pages: Uint32Array;
  readonly data: Uint8Array;
}

/** Packs a machine as it stands. It must be stopped and must not have written to its disk; MachineError otherwise. */
export async function saveBaseSnapshot(machine: Pick<SourceVm, 'space' | 'saveDevices' | 'readPages'>): Promise<Uint8Array> {
  const { ramPages, videoPages } = machine.space;
  await createCompressor(); // loads zstd
  const devices = await machine.saveDevices();
  const bitmap = new Bitmap(ramPages + videoPages);
  const page = new Uint8Array(PAGE_SIZE);
  for (let number = 0; number < bitmap.size; number++) {
    machine.readPages(Uint32Array.of(number), page);
    if (page.some((byte) => byte !== 0)) bitmap.add(number);
  }
  const stored = bitmap.toArray();
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < stored.length; at += BLOCK_PAGES) {
    const pages = stored.subarray(at, at + BLOCK_PAGES);
    const data = new Uint8Array(pages.length * PAGE_SIZE);
    machine.readPages(pages, data);
    blocks.push(compress(data, ZSTD_LEVEL));
  }
  const total = HEADER_BYTES + bitmap.bytes.length + devices.length + blocks.reduce((sum, block) => sum + 4 + block.length, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  [MAGIC, VERSION, ramPages, videoPages, devices.length, stored.length, blocks.length].forEach((value, index) => view.setUint32(index * 4, value, true));
  let at = HEADER_BYTES;
  const put = (part: Uint8Array): void => {
    bytes.set(part, at);
    at += part.length;
  };
  put(bitmap.bytes);
  put(devices);
  for (const block of blocks) {
    view.setUint32(at, block.length, true);
    at += 4;
    put(block);
  }
  return bytes;
}

/** Reads a snapshot. Rejects with MachineError('state-invalid') that says what is wrong. */
export async function decodeBaseSnapshot(bytes: Uint8Array): Promise<BaseSnapshot> {
  const decoder = new BaseSnapshotDecoder(await createCompressor());
  decoder.push(bytes);
  return decoder.finish();
}

/** Throws MachineError('state-invalid') if the snapshot is not of a machine with this memory. */
export function checkFits({ ramPages, videoPages }: BaseSnapshot, space: PageSpace): void {
  if (ramPages === space.ramPages && videoPages === space.videoPages) return;
  throw invalid(`it is of a machine with ${ramPages} pages of RAM and ${videoPages} of video memory; this one has ${space.ramPages} and ${space.videoPages}`);
}

/** The next bytes that are needed, and what they are. */
interface Wanted {
  readonly bytes: number;
  readonly what: string;
}

/** Reads a snapshot in pieces of any size, as they come from a server. Each block is unpacked as soon as it is there. */
export class BaseSnapshotDecoder {
  private readonly reading: Generator<Wanted, BaseSnapshot, Uint8Array>;
  private readonly pieces: Uint8Array[] = [];
  /** In `pieces`. */
  private waiting = 0;
  private received = 0;
  private wanted: Wanted | null;
  private snapshot: BaseSnapshot | null = null;
  private failure: Error | null = null;

  constructor(compressor: Pick<Compressor, 'decompress'>) {
    this.reading = readSnapshot(compressor);
    const { value, done } = this.reading.next();
    this.wanted = done === true ? null : value;
  }

  /** Never throws: finish() tells. */
  push(piece: Uint8Array): void {
    this.received += piece.length;
    if (this.failure !== null) return;
    this.pieces.push(piece);
    this.waiting += piece.length;
    try {
      while (this.wanted !== null && this.waiting >= this.wanted.bytes) this.step(this.wanted.bytes);
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error));
      this.pieces.length = 0;
    }
  }

  /** Throws MachineError('state-invalid') that says what is wrong. */
  finish(): BaseSnapshot {
    if (this.received < HEADER_BYTES) throw invalid(`it has only ${this.received} bytes`);
    if (this.failure !== null) throw this.failure;
    if (this.snapshot === null) throw invalid(`its ${this.wanted?.what ?? 'end'} is cut off`);
    if (this.waiting > 0) throw invalid(`${this.waiting} bytes follow its end`);
    return this.snapshot;
  }

  private step(bytes: number): void {
    const { value, done } = this.reading.next(this.take(bytes));
    if (done === true) {
      this.snapshot = value;
      this.wanted = null;
    } else {
      this.wanted = value;
    }
  }

  /** The first `count` bytes of the pieces, of which there are enough. */
  private take(count: number): Uint8Array {
    this.waiting -= count;
    const [first] = this.pieces;
    if (first !== undefined && first.length >= count) {
      this.pieces[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const bytes = new Uint8Array(count);
    let at = 0;
    while (at < count) {
      const piece = this.pieces.shift() ?? new Uint8Array(0);
      const part = piece.subarray(0, count - at);
      bytes.set(part, at);
      at += part.length;
      if (part.length < piece.length) this.pieces.unshift(piece.subarray(part.length));
    }
    return bytes;
  }
}

function* readSnapshot(compressor: Pick<Compressor, 'decompress'>): Generator<Wanted, BaseSnapshot, Uint8Array> {
  const header = yield { bytes: HEADER_BYTES, what: 'header' };
  const field = (index: number): number => wordAt(header, index * 4);
  if (field(0) !== MAGIC) throw invalid('it does not begin like one');
  if (field(1) !== VERSION) throw invalid(`it is of format ${field(1)}, this page knows format ${VERSION}`);
  const [ramPages, videoPages, deviceBytes, storedPages, blockCount] = [field(2), field(3), field(4), field(5), field(6)];
  if (ramPages + videoPages > MAX_PAGES) throw invalid(`it is of a machine with ${ramPages + videoPages} pages, more than the ${MAX_PAGES} that are allowed`);
  if (deviceBytes > MAX_DEVICE_STATE_BYTES) throw invalid('its device state is too large');
  const bitmap = yield { bytes: Math.ceil((ramPages + videoPages) / 8), what: 'bitmap' };
  const stored = new Bitmap(ramPages + videoPages, bitmap.slice()).toArray();
  if (stored.length !== storedPages || stored.some((page) => page >= ramPages + videoPages)) throw invalid('its bitmap is wrong');
  if (blockCount !== Math.ceil(storedPages / BLOCK_PAGES)) throw invalid('the number of its blocks is wrong');
  const devices = (yield { bytes: deviceBytes, what: 'device state' }).slice();
  const blocks: SnapshotBlock[] = [];
  for (let block = 0; block < blockCount; block++) {
    const length = wordAt(yield { bytes: 4, what: 'block' }, 0);
    const packed = yield { bytes: length, what: 'block' };
    const pages = stored.subarray(block * BLOCK_PAGES, (block + 1) * BLOCK_PAGES);
    blocks.push({ pages, data: unpack(packed, pages.length * PAGE_SIZE, compressor) });
  }
  /** For each stored page, the number of stored pages up to and including it; 0 for pages that are not stored. */
  const places = new Uint32Array(ramPages + videoPages);
  stored.forEach((page, index) => {
    places[page] = index + 1;
  });
  return {
    ramPages,
    videoPages,
    devices,
    blocks,
    page(number) {
      const index = (places[number] ?? 0) - 1;
      if (index < 0) return null;
      const start = (index % BLOCK_PAGES) * PAGE_SIZE;
      return blocks[Math.floor(index / BLOCK_PAGES)]?.data.subarray(start, start + PAGE_SIZE) ?? null;
    },
  };
}

function unpack(block: Uint8Array, expectedBytes: number, compressor: Pick<Compressor, 'decompress'>): Uint8Array {
  try {
    return compressor.decompress(block, expectedBytes);
  } catch (error) {
    throw new MachineError('state-invalid', 'This base snapshot cannot be loaded: one of its blocks is damaged. Download it again.', { cause: error });
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true);
}

function invalid(what: string): MachineError {
  return new MachineError('state-invalid', `This base snapshot cannot be loaded: ${what}. Build the guest again.`);
}
