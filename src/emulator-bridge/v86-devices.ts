/**
 * v86's own device state without RAM and video memory: v86's save_state and restore_state with these memories left out,
 * and with their errors corrected.
 */
import { MachineError } from './machine-error.ts';
import type { V86Cpu, V86Drive, V86Instance } from './v86-api.ts';
import { checkV86Shape, readV86State, withLongInfo, type V86Shape } from './v86-state-format.ts';

export class V86Devices {
  private readonly instance: V86Instance;
  private readonly cpu: V86Cpu;
  private readonly lostViews: Pick<V86Cpu, 'last_result' | 'fpu_status_word' | 'mxcsr'>;
  private shape: V86Shape | null = null;

  /** Changes the instance so that its states hold devices only. Once per instance. */
  constructor(instance: V86Instance) {
    this.instance = instance;
    this.cpu = instance.v86.cpu;
    const { cpu } = this;
    this.lostViews = { last_result: cpu.last_result, fpu_status_word: cpu.fpu_status_word, mxcsr: cpu.mxcsr };
    cpu.pack_memory = () => ({ bitmap: { get_buffer: () => new ArrayBuffer(0) }, packed_memory: new Uint8Array(0) });
    cpu.unpack_memory = () => undefined;
    const { vga } = cpu.devices;
    const stock = vga.get_state.bind(vga);
    vga.get_state = () => {
      const state = stock();
      for (const [index, empty] of VGA_MEMORIES) state[index] = empty;
      return state;
    };
    leaveOutOldTransfers(Object.getPrototypeOf(cpu.devices.ide.primary.master) as V86Drive);
  }

  save(): Uint8Array {
    return withLongInfo(new Uint8Array(this.instance.v86.save_state()));
  }

  /** Throws MachineError('state-invalid') if `state` is damaged or belongs to a machine with a different configuration. */
  check(state: Uint8Array): void {
    // Saving takes milliseconds, so that is done once; only kinds and sizes of the fields are compared.
    this.shape ??= readV86State(this.save());
    checkV86Shape(readV86State(state), this.shape);
  }

  /**
   * Restores what save() gave and check() accepted. If it throws all the same (MachineError 'state-invalid'), the
   * instance is of no use any more.
   */
  restore(state: Uint8Array): void {
    try {
      this.instance.v86.restore_state(state.slice().buffer);
    } catch (error) {
      throw new MachineError(
        'state-invalid',
        'The emulator could not restore the devices: the state is damaged. This machine cannot be used any more; create another one.',
        { cause: error },
      );
    }
    this.putBackLostViews();
    this.applyControlWord();
  }

  /**
   * Makes the floating-point code round as the x87 control word says. That code keeps its rounding in separate
   * variables. v86 does not save them, and does not set them at a reset of the CPU.
   */
  applyControlWord(): void {
    const { cpu } = this;
    cpu.wm.exports.set_control_word(cpu.fpu_control_word[0] ?? 0);
  }

  /**
   * v86's set_state replaces its views of three CPU registers by copies instead of writing to them: the registers keep
   * their old values (wrong flags in the guest), and the next save would save the copies again.
   */
  private putBackLostViews(): void {
    const { cpu, lostViews } = this;
    lostViews.last_result[0] = cpu.last_result[0] ?? 0;
    lostViews.fpu_status_word[0] = cpu.fpu_status_word[0] ?? 0;
    lostViews.mxcsr[0] = cpu.mxcsr[0] ?? 0;
    cpu.last_result = lostViews.last_result;
    cpu.fpu_status_word = lostViews.fpu_status_word;
    cpu.mxcsr = lostViews.mxcsr;
  }
}

/** Index of the transfer's bytes in the state of a v86 drive. */
const DRIVE_DATA = 16;
/** As large as v86 makes them. */
const TRANSFER_BYTES = 64 * 1024;
/** The status says that the drive is busy, or that the guest is to read or write. */
const DRIVE_BUSY = 0x80;
const DRIVE_WANTS_DATA = 0x08;

/** The bytes of a drive's current transfer, which the guest has not read or written to the end; empty if there is none. */
export function transferAtHand(drive: V86Drive): Uint8Array {
  const { status_reg: status, data, data_pointer: pointer, data_end: end, data_length: length } = drive;
  const isOver = pointer >= end && (status & (DRIVE_BUSY | DRIVE_WANTS_DATA)) === 0;
  return data.subarray(0, isOver ? 0 : Math.min(data.length, (Math.max(end, length) + 3) & ~3));
}

/** Prototypes that leaveOutOldTransfers() has changed. */
const changed = new WeakSet<object>();

/** v86 keeps saving the bytes of each drive's last transfer, four times 64 KiB in all. Its drives cannot be patched one by one: `drives` is their prototype. */
function leaveOutOldTransfers(drives: V86Drive): void {
  if (changed.has(drives)) return;
  changed.add(drives);
  const { get_state: save, set_state: restore } = drives;
  drives.get_state = function (this: V86Drive) {
    const state = save.call(this);
    state[DRIVE_DATA] = transferAtHand(this).slice();
    return state;
  };
  drives.set_state = function (this: V86Drive, state) {
    restore.call(this, state);
    if (this.data.length >= TRANSFER_BYTES) return;
    const data = new Uint8Array(TRANSFER_BYTES);
    data.set(this.data);
    this.data = data;
    this.data16 = new Uint16Array(data.buffer);
    this.data32 = new Int32Array(data.buffer);
  };
}

/** In the state of v86's VGA: planes and pixels may be left out, the frame buffer must be an array. */
const VGA_MEMORIES: readonly (readonly [number, unknown])[] = [
  [6, undefined],
  [39, new Uint8Array(0)],
  [61, undefined],
];
