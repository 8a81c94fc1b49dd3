/**
 * One piece of the device state: the payload of a `devices` message (rule MG8). Numbers are big-endian.
 *
 *   0        1         5         9          13
 *   +--------+---------+---------+----------+-----------------------------+
 *   | coding | total   | offset  | raw      | data of these `raw` bytes   |
 *   |  u8    |  u32    |  u32    |  u32     |                             |
 *   +--------+---------+---------+----------+-----------------------------+
 *
 *   coding  0 = as it is, 1 = compressed, 2 = compressed difference from these bytes of the base snapshot's device state
 *
 * Pieces come in order and without gaps; the last one ends at `total`.
 */
import { applyDifference } from './difference.ts';
import { DEVICE_CHUNK_BYTES, MAX_DEVICE_STATE_BYTES } from './limits.ts';
import { asMigrationError, MigrationError } from './migration-error.ts';
import type { Compressor } from './ports.ts';

const PIECE_HEADER_BYTES = 13;
const CODING_RAW = 0;
const CODING_COMPRESSED = 1;
const CODING_DIFFERENCE = 2;
/** If the difference compresses to this share of a piece, compressing the piece itself for comparison is not worth it. */
const SMALL = 1 / 16;

/** Cuts the state into payloads. `base`: the device state of the base snapshot, if both sides have it. Throws MigrationError('internal') if it is larger than MAX_DEVICE_STATE_BYTES. */
export function* serializeDevices(state: Uint8Array, base: Uint8Array | null, compressor: Compressor): Generator<Uint8Array> {
  if (state.length > MAX_DEVICE_STATE_BYTES) {
    throw new MigrationError('internal', `The device state has ${state.length} bytes; at most ${MAX_DEVICE_STATE_BYTES} can be moved.`);
  }
  for (let offset = 0; offset < state.length; offset += DEVICE_CHUNK_BYTES) {
    const raw = state.subarray(offset, offset + DEVICE_CHUNK_BYTES);
    const { coding, data } = shortest(raw, base?.subarray(offset), compressor);
    const payload = new Uint8Array(PIECE_HEADER_BYTES + data.length);
    const view = new DataView(payload.buffer);
    view.setUint8(0, coding);
    view.setUint32(1, state.length);
    view.setUint32(5, offset);
    view.setUint32(9, raw.length);
    payload.set(data, PIECE_HEADER_BYTES);
    yield payload;
  }
}

function shortest(raw: Uint8Array, base: Uint8Array | undefined, compressor: Compressor): { readonly coding: number; readonly data: Uint8Array } {
  const changes = raw.slice();
  if (base !== undefined) applyDifference(changes, base);
  const difference = base === undefined ? null : compressor.compress(changes);
  if (difference !== null && difference.length < raw.length * SMALL) return { coding: CODING_DIFFERENCE, data: difference };
  const compressed = compressor.compress(raw);
  const least = Math.min(raw.length, compressed.length, difference?.length ?? raw.length);
  if (difference?.length === least) return { coding: CODING_DIFFERENCE, data: difference };
  return compressed.length === least ? { coding: CODING_COMPRESSED, data: compressed } : { coding: CODING_RAW, data: raw };
}

/** Joins the pieces; holds at most what has arrived. */
export class DeviceAssembly {
  private readonly pieces: Uint8Array[] = [];
  private received = 0;
  private total: number | null = null;
  private readonly base: Uint8Array | null;

  /** `base`: the device state of the base snapshot, if it is known. */
  constructor(base: Uint8Array | null) {
    this.base = base;
  }

  /** Takes the next piece. Throws MigrationError('bad-message'). */
  add(payload: Uint8Array, compressor: Compressor): void {
    if (payload.length < PIECE_HEADER_BYTES) throw bad('a piece that is cut off in its header');
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const coding = view.getUint8(0);
    const total = view.getUint32(1);
    const offset = view.getUint32(5);
    const rawBytes = view.getUint32(9);
    if (coding > CODING_DIFFERENCE) throw bad(`a piece with the unknown coding ${coding}`);
    if (total > MAX_DEVICE_STATE_BYTES) throw bad(`${total} bytes; ${MAX_DEVICE_STATE_BYTES} are allowed`);
    if (this.total !== null && this.total !== total) throw bad(`pieces of ${this.total} and of ${total} bytes`);
    if (offset !== this.received) throw bad(`a piece at ${offset} where ${this.received} was next`);
    if (rawBytes === 0 || rawBytes > DEVICE_CHUNK_BYTES || offset + rawBytes > total) throw bad(`a piece of ${rawBytes} bytes at ${offset} of ${total}`);
    const piece = readPiece(payload.subarray(PIECE_HEADER_BYTES), coding, rawBytes, compressor);
    if (coding === CODING_DIFFERENCE) {
      if (this.base === null) throw bad('a difference from a base snapshot that is not known');
      applyDifference(piece, this.base.subarray(offset));
    }
    this.pieces.push(piece);
    this.total = total;
    this.received += rawBytes;
  }

  /** The whole state. Throws MigrationError('bad-message') unless exactly `expectedBytes` have come. */
  finish(expectedBytes: number): Uint8Array {
    if (this.received !== expectedBytes) throw bad(`${this.received} bytes where ${expectedBytes} were announced`);
    const state = new Uint8Array(expectedBytes);
    let at = 0;
    for (const piece of this.pieces) {
      state.set(piece, at);
      at += piece.length;
    }
    return state;
  }
}

function readPiece(data: Uint8Array, coding: number, rawBytes: number, compressor: Compressor): Uint8Array {
  if (coding === CODING_RAW) {
    if (data.length !== rawBytes) throw bad(`a piece of ${data.length} bytes where ${rawBytes} belong`);
    return data.slice();
  }
  let raw: Uint8Array;
  try {
    raw = compressor.decompress(data, rawBytes);
  } catch (error) {
    throw bad(`a piece that cannot be decompressed: ${asMigrationError(error, 'bad-message').message}`);
  }
  if (raw.length !== rawBytes) throw bad(`a piece of ${raw.length} bytes where ${rawBytes} belong`);
  return raw;
}

function bad(what: string): MigrationError {
  return new MigrationError('bad-message', `The device state holds ${what}.`);
}
