/**
 * v86's own device state without RAM and video memory: v86's save_state and restore_state with the memories taken out,
 * and with what they get wrong put right.
 */
import { MachineError } from './machine-error.ts';
import type { V86Cpu, V86Instance } from './v86-api.ts';
import { checkV86Shape, readV86State, type V86Shape } from './v86-state-format.ts';

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
  }

  save(): Uint8Array {
    return new Uint8Array(this.instance.v86.save_state());
  }

  /** Throws MachineError('state-invalid') if `state` is damaged or of a machine of another make. */
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
   * Makes the floating-point code round as the x87 control word says. How it rounds is kept in variables of its own,
   * which v86 neither saves nor, at a reset of the CPU, sets.
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

/** In the state of v86's VGA: planes and pixels may be left out, the frame buffer must be an array. */
const VGA_MEMORIES: readonly (readonly [number, unknown])[] = [
  [6, undefined],
  [39, new Uint8Array(0)],
  [61, undefined],
];
