/**
 * The envelope around a machine's device state: what saveDevices() gives and restoreDevices() takes.
 *
 *      0        4        8       12       16
 *     +--------+--------+--------+--------+
 *     | "TMDS" | version| length | CRC-32 |   all integers little-endian; length = the whole envelope,
 *     +--------+--------+--------+--------+   CRC-32 over everything behind the header
 *     | section| bytes  | content, padded to a multiple of 4 with zeros
 *     +--------+--------+----------------------
 *     | section| bytes  | ...                     each section of SECTIONS once, in that order
 *     +--------+--------+----------------------
 *
 *     clock        tsc u64, monotonic ms f64, wall ms f64: when the CPU stopped (guest-clock.ts)
 *     v86          v86's own state format 6, without RAM and video memory
 *     hidden       what v86's state leaves out (hidden-state.ts)
 *     uart0,uart1  bytes received and not yet read by the guest (v86 does not save them)
 *     input        keyboard and mouse: what waits for the guest in the PS/2 controller (ps2-input.ts)
 *     scrollback   the last bytes the console printed
 */
import { MachineError } from './machine-error.ts';
import { crc32 } from './crc32.ts';

const MAGIC = 0x5344_4d54; // "TMDS"
const VERSION = 2;
const HEADER_BYTES = 16;
const SECTION_HEADER_BYTES = 8;
const CLOCK_BYTES = 24;

/**
 * Largest envelope that is accepted. v86's devices have about 0.2 MiB, the scroll-back and the queues are bounded; the
 * cap is there so that a peer cannot make us work on much more.
 */
export const MAX_DEVICE_STATE_BYTES = 8 * 1024 * 1024;

const SECTIONS = ['clock', 'v86', 'hidden', 'uart0', 'uart1', 'input', 'scrollback'] as const;
type Section = (typeof SECTIONS)[number];

/** Largest content of each section. */
const SECTION_LIMITS: Readonly<Record<Section, number>> = {
  clock: CLOCK_BYTES,
  v86: 4 * 1024 * 1024,
  hidden: 512 * 1024,
  uart0: 1024 * 1024,
  uart1: 1024 * 1024,
  input: 64 * 1024,
  scrollback: 1024 * 1024,
};

/** Everything but memory that a machine needs to go on elsewhere. */
export interface DeviceState {
  readonly clock: { readonly tsc: bigint; readonly monotonicMs: number; readonly wallMs: number };
  readonly v86: Uint8Array;
  readonly hidden: Uint8Array;
  readonly uart0: Uint8Array;
  readonly uart1: Uint8Array;
  readonly input: Uint8Array;
  readonly scrollback: Uint8Array;
}

/** Throws MachineError('state-invalid') if a part is over its limit. */
export function encodeDeviceState(state: DeviceState): Uint8Array {
  const contents = SECTIONS.map((section) => {
    const content = section === 'clock' ? encodeClock(state.clock) : state[section];
    if (content.length > SECTION_LIMITS[section]) {
      throw invalid(`its part "${section}" has ${content.length} bytes, more than the ${SECTION_LIMITS[section]} that are allowed`);
    }
    return content;
  });
  const total = contents.reduce((sum, content) => sum + SECTION_HEADER_BYTES + padded(content.length), HEADER_BYTES);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = HEADER_BYTES;
  contents.forEach((content, section) => {
    view.setUint32(at, section, true);
    view.setUint32(at + 4, content.length, true);
    bytes.set(content, at + SECTION_HEADER_BYTES);
    at += SECTION_HEADER_BYTES + padded(content.length);
  });
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, total, true);
  view.setUint32(12, crc32(bytes.subarray(HEADER_BYTES)), true);
  return bytes;
}

/** Parses an envelope; the contents are views of `bytes`. Throws MachineError('state-invalid') that says what is wrong. */
export function decodeDeviceState(bytes: Uint8Array): DeviceState {
  if (bytes.length < HEADER_BYTES) throw invalid(`it has only ${bytes.length} bytes`);
  if (bytes.length > MAX_DEVICE_STATE_BYTES) throw invalid(`it has ${bytes.length} bytes, more than the ${MAX_DEVICE_STATE_BYTES} that are allowed`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw invalid('it does not begin like one');
  const version = view.getUint32(4, true);
  if (version !== VERSION) {
    throw invalid(`it is of format ${version}, this host knows format ${VERSION}; reload the older of the two pages`);
  }
  const length = view.getUint32(8, true);
  if (length !== bytes.length) throw invalid(`it should have ${length} bytes and has ${bytes.length}`);
  if (view.getUint32(12, true) !== crc32(bytes.subarray(HEADER_BYTES))) throw invalid('its checksum is wrong');
  const contents = new Map<Section, Uint8Array>();
  let at = HEADER_BYTES;
  for (const [number, section] of SECTIONS.entries()) {
    if (at + SECTION_HEADER_BYTES > bytes.length) throw invalid(`its part "${section}" is missing`);
    if (view.getUint32(at, true) !== number) throw invalid(`there is something else where its part "${section}" belongs`);
    const size = view.getUint32(at + 4, true);
    at += SECTION_HEADER_BYTES;
    if (size > SECTION_LIMITS[section]) {
      throw invalid(`its part "${section}" has ${size} bytes, more than the ${SECTION_LIMITS[section]} that are allowed`);
    }
    if (at + padded(size) > bytes.length) throw invalid(`its part "${section}" is cut off`);
    contents.set(section, bytes.subarray(at, at + size));
    at += padded(size);
  }
  if (at !== bytes.length) throw invalid(`${bytes.length - at} bytes follow its last part`);
  const content = (section: Section): Uint8Array => contents.get(section) ?? new Uint8Array(0);
  return {
    clock: decodeClock(content('clock')),
    v86: content('v86'),
    hidden: content('hidden'),
    uart0: content('uart0'),
    uart1: content('uart1'),
    input: content('input'),
    scrollback: content('scrollback'),
  };
}

function encodeClock(clock: DeviceState['clock']): Uint8Array {
  const bytes = new Uint8Array(CLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, clock.tsc, true);
  view.setFloat64(8, clock.monotonicMs, true);
  view.setFloat64(16, clock.wallMs, true);
  return bytes;
}

function decodeClock(bytes: Uint8Array): DeviceState['clock'] {
  if (bytes.length !== CLOCK_BYTES) throw invalid(`its clock has ${bytes.length} bytes instead of ${CLOCK_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const clock = { tsc: view.getBigUint64(0, true), monotonicMs: view.getFloat64(8, true), wallMs: view.getFloat64(16, true) };
  if (!Number.isFinite(clock.monotonicMs) || !Number.isFinite(clock.wallMs)) throw invalid('its clock shows no time');
  return clock;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function invalid(what: string): MachineError {
  return new MachineError('state-invalid', `This device state cannot be restored: ${what}.`);
}
