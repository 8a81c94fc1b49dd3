/**
 * Device state that a guest can observe but v86's own state leaves out. It travels beside v86's state, as one JSON
 * object with a name for each field. testing/unsaved-state.ts lists everything v86 does not save, and
 * why the rest may be left out.
 */
import * as v from 'valibot';
import { MachineError } from './machine-error.ts';
import type { Ps2QueueLike } from './ps2-input.ts';
import type { V86Cpu } from './v86-api.ts';

/** v86's queues of bytes hold no more. */
const QUEUE_LIMIT = 1024;
/** v86 lets a guest hand over as many bytes by VMware's clipboard. */
const CLIPBOARD_LIMIT = 65_536;
/** Fast A20 and reset: v86 keeps the value written, but it can only be read through the port. */
const SYSTEM_CONTROL_PORT = 0x92;

const uint32 = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff));
const byte = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xff));
const bytes = (limit: number) => v.pipe(v.array(byte), v.maxLength(limit));
const drive = v.strictObject({ senseKey: byte, additionalSense: byte, mediumChanged: byte });

const schema = v.strictObject({
  /** Instructions since the guest's kernel reported a panic that it has not finished printing. */
  panickedFor: v.nullable(uint32),
  /** Firmware configuration: how much of the answer was read. */
  firmwareRead: uint32,
  systemControl: byte,
  /** Bochs' display interface: its version, and the offset of the visible screen within the virtual one. */
  displayVersion: uint32,
  displayOffset: v.strictTuple([uint32, uint32]),
  /** For each drive of each channel: why its last packet command failed. */
  drives: v.strictTuple([drive, drive, drive, drive]),
  /** The sound card: bytes of a command that is not complete yet, and answers not yet read. */
  sound: v.strictObject({
    written: bytes(QUEUE_LIMIT),
    answers: bytes(QUEUE_LIMIT),
    midiAnswers: bytes(QUEUE_LIMIT),
    lastMidiAnswer: byte,
    fmAddresses: v.strictTuple([byte, byte]),
  }),
  /** VMware's mouse and clipboard. */
  pointer: v.strictObject({
    queue: v.pipe(v.array(uint32), v.maxLength(QUEUE_LIMIT)),
    lastIsMove: v.boolean(),
    clipboard: bytes(CLIPBOARD_LIMIT),
    clipboardAt: uint32,
  }),
});

type HiddenState = v.InferOutput<typeof schema>;

export function saveHiddenState(cpu: V86Cpu, panickedFor: number | null): Uint8Array {
  const { vga, sb16, vmware } = cpu.devices;
  const state: HiddenState = {
    panickedFor,
    firmwareRead: cpu.fw_pointer >>> 0,
    systemControl: cpu.io.port_read8(SYSTEM_CONTROL_PORT) & 0xff,
    displayVersion: vga.svga_version >>> 0,
    displayOffset: [vga.svga_offset_x >>> 0, vga.svga_offset_y >>> 0],
    drives: drivesOf(cpu).map((one) => ({
      senseKey: one.atapi_sense_key & 0xff,
      additionalSense: one.atapi_add_sense & 0xff,
      mediumChanged: one.medium_changed & 0xff,
    })) as HiddenState['drives'],
    sound: {
      written: peek(sb16.write_buffer),
      answers: peek(sb16.read_buffer),
      midiAnswers: peek(sb16.mpu_read_buffer),
      lastMidiAnswer: sb16.mpu_read_buffer_lastvalue & 0xff,
      fmAddresses: [sb16.fm_current_address0 & 0xff, sb16.fm_current_address1 & 0xff],
    },
    pointer: {
      queue: vmware.queue.map((word) => word >>> 0),
      lastIsMove: vmware.tail_is_move,
      clipboard: [...vmware.clip_in],
      clipboardAt: vmware.clip_in_cursor >>> 0,
    },
  };
  return new TextEncoder().encode(JSON.stringify(state));
}

/**
 * Call after v86 has restored its devices. Returns the `panickedFor` that saveHiddenState() was given. Throws
 * MachineError('state-invalid'), and then has changed nothing.
 */
export function restoreHiddenState(cpu: V86Cpu, saved: Uint8Array): number | null {
  const state = parse(saved);
  const { vga, sb16, vmware } = cpu.devices;
  cpu.fw_pointer = state.firmwareRead;
  cpu.io.port_write8(SYSTEM_CONTROL_PORT, state.systemControl);
  vga.svga_version = state.displayVersion;
  [vga.svga_offset_x, vga.svga_offset_y] = state.displayOffset;
  for (const [index, one] of drivesOf(cpu).entries()) {
    const from = state.drives[index];
    if (from === undefined) continue;
    one.atapi_sense_key = from.senseKey;
    one.atapi_add_sense = from.additionalSense;
    one.medium_changed = from.mediumChanged;
  }
  refill(sb16.write_buffer, state.sound.written);
  refill(sb16.read_buffer, state.sound.answers);
  refill(sb16.mpu_read_buffer, state.sound.midiAnswers);
  sb16.mpu_read_buffer_lastvalue = state.sound.lastMidiAnswer;
  [sb16.fm_current_address0, sb16.fm_current_address1] = state.sound.fmAddresses;
  // VMware's status words are signed in v86.
  vmware.queue = state.pointer.queue.map((word) => word | 0);
  vmware.tail_is_move = state.pointer.lastIsMove;
  vmware.clip_in = Uint8Array.from(state.pointer.clipboard);
  vmware.clip_in_cursor = state.pointer.clipboardAt;
  return state.panickedFor;
}

function drivesOf(cpu: V86Cpu) {
  const { primary, secondary } = cpu.devices.ide;
  return [primary.master, primary.slave, secondary.master, secondary.slave] as const;
}

function peek(queue: Ps2QueueLike): number[] {
  const content = Array.from({ length: queue.length }, () => queue.shift());
  refill(queue, content);
  return content;
}

function refill(queue: Ps2QueueLike, content: readonly number[]): void {
  queue.clear();
  for (const one of content) queue.push(one);
}

function parse(saved: Uint8Array): HiddenState {
  const broken = (cause?: unknown) =>
    new MachineError('state-invalid', "The part of the devices' state that the emulator leaves out is damaged; the VM cannot be restored from it.", { cause });
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(saved));
  } catch (error) {
    throw broken(error);
  }
  const parsed = v.safeParse(schema, json);
  if (!parsed.success) throw broken();
  return parsed.output;
}
