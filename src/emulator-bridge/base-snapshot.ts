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
import type { PageSpace } from '../migration/ports.ts';
import { MAX_DEVICE_STATE_BYTES } from './device-state.ts';
import { MachineError } from './machine-error.ts';
import type { Machine } from './machine.ts';
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
export async function saveBaseSnapshot(machine: Machine): Promise<Uint8Array> {
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

/** Parses a snapshot for a machine of `space`. Throws MachineError('state-invalid') that says what is wrong. */
export async function decodeBaseSnapshot(bytes: Uint8Array, space: PageSpace): Promise<BaseSnapshot> {
  if (bytes.length < HEADER_BYTES) throw invalid(`it has only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const field = (index: number): number => view.getUint32(index * 4, true);
  if (field(0) !== MAGIC) throw invalid('it does not begin like one');
  if (field(1) !== VERSION) throw invalid(`it is of format ${field(1)}, this page knows format ${VERSION}`);
  const [ramPages, videoPages, deviceBytes, storedPages, blockCount] = [field(2), field(3), field(4), field(5), field(6)];
  if (ramPages + videoPages > MAX_PAGES) throw invalid(`it is of a machine with ${ramPages + videoPages} pages, more than the ${MAX_PAGES} that are allowed`);
  if (ramPages !== space.ramPages || videoPages !== space.videoPages) {
    throw invalid(`it is of a machine with ${ramPages} pages of RAM and ${videoPages} of video memory; this one has ${space.ramPages} and ${space.videoPages}`);
  }
  if (deviceBytes > MAX_DEVICE_STATE_BYTES) throw invalid('its device state is too large');
  const bitmapBytes = Math.ceil((ramPages + videoPages) / 8);
  let at = HEADER_BYTES;
  const take = (length: number, what: string): Uint8Array => {
    if (at + length > bytes.length) throw invalid(`its ${what} is cut off`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  const stored = new Bitmap(ramPages + videoPages, take(bitmapBytes, 'bitmap').slice()).toArray();
  if (stored.length !== storedPages || stored.some((page) => page >= ramPages + videoPages)) throw invalid('its bitmap is wrong');
  if (blockCount !== Math.ceil(storedPages / BLOCK_PAGES)) throw invalid('the number of its blocks is wrong');
  const devices = take(deviceBytes, 'device state').slice();
  const packed: Uint8Array[] = [];
  for (let block = 0; block < blockCount; block++) {
    const length = take(4, 'block');
    packed.push(take(new DataView(length.buffer, length.byteOffset, 4).getUint32(0, true), 'block'));
  }
  if (at !== bytes.length) throw invalid(`${bytes.length - at} bytes follow its end`);
  const compressor = await createCompressor();
  const blocks = packed.map((block, index): SnapshotBlock => {
    const pages = stored.subarray(index * BLOCK_PAGES, (index + 1) * BLOCK_PAGES);
    return { pages, data: unpack(block, pages.length * PAGE_SIZE) };
  });
  /** For each stored page, the number of stored pages up to and including it; 0 for pages that are not stored. */
  const places = new Uint32Array(ramPages + videoPages);
  stored.forEach((page, index) => {
    places[page] = index + 1;
  });
  return {
    devices,
    blocks,
    page(number) {
      const index = (places[number] ?? 0) - 1;
      if (index < 0) return null;
      const start = (index % BLOCK_PAGES) * PAGE_SIZE;
      return blocks[Math.floor(index / BLOCK_PAGES)]?.data.subarray(start, start + PAGE_SIZE) ?? null;
    },
  };

  function unpack(block: Uint8Array, expectedBytes: number): Uint8Array {
    try {
      return compressor.decompress(block, expectedBytes);
    } catch (error) {
      throw new MachineError('state-invalid', 'This base snapshot cannot be loaded: one of its blocks is damaged. Download it again.', { cause: error });
    }
  }
}

function invalid(what: string): MachineError {
  return new MachineError('state-invalid', `This base snapshot cannot be loaded: ${what}. Build the guest again.`);
}
