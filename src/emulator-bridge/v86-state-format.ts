/**
 * Reads v86's state format (its state.js, version 6) far enough to refuse a state that this machine cannot take:
 * v86 itself checks next to nothing and fails half-way with a TypeError.
 *
 *     magic 0x86768676 | version 6 | total length | length of info | info: JSON | buffers, each aligned to 4
 */
import * as v from 'valibot';
import { MachineError } from './machine-error.ts';

const MAGIC = 0x8676_8676;
const VERSION = 6;
const HEADER_BYTES = 16;

const infoSchema = v.object({
  buffer_infos: v.array(v.object({ offset: v.pipe(v.number(), v.integer(), v.minValue(0)), length: v.pipe(v.number(), v.integer(), v.minValue(0)) })),
  state: v.array(v.unknown()),
});

/** What v86 saved: numbers, null, arrays, and typed arrays as their kind and size. */
export type V86Shape = readonly V86Value[];
type V86Value = number | string | boolean | null | V86Typed | readonly V86Value[];
interface V86Typed {
  readonly kind: string;
  readonly bytes: number;
}

/** Parses a state. Throws MachineError('state-invalid') if it is damaged. */
export function readV86State(state: Uint8Array): V86Shape {
  if (state.length < HEADER_BYTES) throw invalid('it is cut off');
  const header = new DataView(state.buffer, state.byteOffset, state.byteLength);
  if (header.getUint32(0, true) !== MAGIC) throw invalid('it does not begin like one of v86');
  if (header.getUint32(4, true) !== VERSION) throw invalid(`it is of v86's format ${header.getUint32(4, true)}, not ${VERSION}`);
  if (header.getUint32(8, true) !== state.length) throw invalid('its length is wrong');
  const infoBytes = header.getUint32(12, true);
  if (HEADER_BYTES + infoBytes > state.length) throw invalid('its description is cut off');
  const parsed = v.safeParse(infoSchema, parseJson(state.subarray(HEADER_BYTES, HEADER_BYTES + infoBytes)));
  if (!parsed.success) throw invalid('its description is damaged');
  const { buffer_infos: buffers, state: values } = parsed.output;
  const firstBuffer = (HEADER_BYTES + infoBytes + 3) & ~3;
  for (const { offset, length } of buffers) {
    if (firstBuffer + offset + length > state.length) throw invalid('one of its buffers is cut off');
  }
  return values.map((value) => toShape(value, buffers));
}

/** The description's length is rounded up to a multiple of this. */
const INFO_UNIT = 2048;

/**
 * Returns the same state with its description padded with spaces, because the description's length changes with every
 * digit in it. The buffers then begin at the same place in all states of a machine, so two states differ little.
 */
export function withLongInfo(state: Uint8Array): Uint8Array {
  const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
  const infoBytes = view.getUint32(12, true);
  const longer = Math.ceil((infoBytes + 1) / INFO_UNIT) * INFO_UNIT;
  const [from, to] = [HEADER_BYTES + infoBytes, HEADER_BYTES + longer].map((at) => (at + 3) & ~3) as [number, number];
  const bytes = new Uint8Array(state.length + to - from);
  bytes.set(state.subarray(0, HEADER_BYTES + infoBytes));
  bytes.fill(0x20, HEADER_BYTES + infoBytes, to);
  bytes.set(state.subarray(from), to);
  const header = new DataView(bytes.buffer);
  header.setUint32(8, bytes.length, true);
  header.setUint32(12, longer, true);
  return bytes;
}

/** Places in v86's state (its cpu.js, get_state) that can differ between states of the same machine. */
const FIRMWARE_ANSWER = 62;
const DISK_CONTROLLER = 85;
/** Values that are a memory's size and never change. */
const MEMORY_SIZES: readonly (readonly number[])[] = [[0], [52, 0]];
/** Columns and rows of text, width and height of graphics: v86 makes buffers of that size. */
const SCREEN_SIZES: readonly (readonly number[])[] = [
  [52, 4],
  [52, 5],
  [52, 15],
  [52, 16],
];
/** More than any mode of the emulated card. */
const LARGEST_SCREEN_SIZE = 4096;

/**
 * Throws MachineError('state-invalid') unless `incoming` has the same devices as `own`, with fields of the same kinds,
 * and the same sizes of memory.
 */
export function checkV86Shape(incoming: V86Shape, own: V86Shape): void {
  if (incoming.length !== own.length) throw otherMachine('number of devices');
  for (const [index, value] of own.entries()) {
    if (index === FIRMWARE_ANSWER) continue;
    // The disk controller's buffers are as long as the transfer at hand.
    const differs = firstDifference(incoming[index], value, `field ${index}`, index !== DISK_CONTROLLER);
    if (differs !== null) throw otherMachine(differs);
  }
  for (const path of MEMORY_SIZES) {
    if (at(incoming, path) !== at(own, path)) throw otherMachine('the size of its memory');
  }
  for (const path of SCREEN_SIZES) {
    const size = at(incoming, path);
    if (typeof size === 'number' && !(size >= 0 && size <= LARGEST_SCREEN_SIZE)) throw invalid(`its screen is ${size} wide or high`);
  }
}

function firstDifference(incoming: V86Value | undefined, own: V86Value, path: string, sizes: boolean): string | null {
  if (kindOf(incoming, sizes) !== kindOf(own, sizes)) return path;
  if (!isArray(own) || !isArray(incoming)) return null;
  if (incoming.length !== own.length) return path;
  for (const [index, value] of own.entries()) {
    const found = firstDifference(incoming[index], value, `${path}.${index}`, sizes);
    if (found !== null) return found;
  }
  return null;
}

function kindOf(value: V86Value | undefined, sizes: boolean): string {
  if (value === null || value === undefined) return 'nothing';
  if (isArray(value)) return 'array';
  if (typeof value === 'object') return sizes ? `${value.kind} of ${value.bytes}` : value.kind;
  return typeof value;
}

function isArray(value: V86Value | undefined): value is readonly V86Value[] {
  return Array.isArray(value);
}

function at(shape: V86Shape, path: readonly number[]): V86Value | undefined {
  return path.reduce<V86Value | undefined>((value, index) => (isArray(value) ? value[index] : undefined), shape);
}

function otherMachine(what: string): MachineError {
  return invalid(`it is of a machine with other devices or another memory size (${what})`);
}

function toShape(value: unknown, buffers: readonly { length: number }[]): V86Value {
  if (value === null || typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map((entry) => toShape(entry, buffers));
  const { __state_type__: kind, buffer_id: buffer, args } = value as { __state_type__?: unknown; buffer_id?: unknown; args?: unknown };
  if (typeof kind !== 'string') throw invalid('its description is damaged');
  if (args !== undefined) return { kind, bytes: 0 };
  const size = typeof buffer === 'number' ? buffers[buffer]?.length : undefined;
  if (size === undefined) throw invalid('one of its buffers is missing');
  return { kind, bytes: size };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw invalid('its description is damaged');
  }
}

function invalid(what: string): MachineError {
  return new MachineError('state-invalid', `The devices cannot be restored from this state: ${what}.`);
}
