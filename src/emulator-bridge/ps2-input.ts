/**
 * Keyboard and mouse of the guest. Keys pressed while the machine is stopped, or faster than the guest reads, wait
 * here. The controller's own queues, which v86 does not save, move with the VM. Held keys do not: a VM arrives with
 * every key and button released, because nobody at the target would ever release them.
 */
import type { Disposable } from '../shared/disposable.ts';
import type { Clock } from '../shared/clock.ts';
import { ByteQueue } from './byte-queue.ts';
import { HeldKeys } from './held-keys.ts';
import { MachineError } from './machine-error.ts';
import type { BusLike } from './v86-bus.ts';

/** Scancodes waiting for the guest: two of the longest texts that the page types at once (20 kB each). */
const WAITING_LIMIT_BYTES = 40 * 1024;
/** The controller's queue wraps at 1024 bytes. It is kept far below that, so that the answers to the guest's commands fit. */
const CONTROLLER_LIMIT_BYTES = 64;
/** How often waiting scancodes are offered again. */
const OFFER_MS = 5;
/** Largest relative motion of one mouse packet (9 bits, signed). */
const LARGEST_MOTION = 127;
const FLAG_READY = 1;
const FLAG_FROM_MOUSE = 2;
const QUEUE_LIMIT_BYTES = 1024;
/** Break codes of all possible keys, with and without the prefix. They fit in addition to the bytes that may wait. */
const RELEASES_LIMIT_BYTES = 3 * 128;
const NO_BUTTONS = [false, false, false] as const;

/** A byte queue of v86; it cannot be looked into, only shifted and pushed. */
export interface Ps2QueueLike {
  readonly length: number;
  push(byte: number): void;
  shift(): number;
  clear(): void;
}

/** The members of v86's keyboard controller used here; see v86-api.ts for the pinned version. */
export interface Ps2Like {
  readonly kbd_buffer: Ps2QueueLike;
  readonly mouse_buffer: Ps2QueueLike;
  next_byte_is_ready: boolean;
  next_byte_is_aux: boolean;
  wheel_movement: number;
  /** Buttons that the guest takes for pressed, one bit each; v86 saves it. */
  readonly mouse_clicks: number;
}

export class Ps2Input implements Disposable {
  private readonly bus: BusLike;
  private readonly ps2: Ps2Like;
  private readonly clock: Clock;
  private readonly waiting = new ByteQueue();
  private readonly held = new HeldKeys();
  private running = false;
  private timer: Disposable | null = null;
  /** Left, middle, right: the actual state, and the state last reported to the guest. */
  private buttons: readonly [boolean, boolean, boolean] = NO_BUTTONS;
  private buttonsTold: readonly [boolean, boolean, boolean] = NO_BUTTONS;

  constructor(bus: BusLike, ps2: Ps2Like, clock: Clock) {
    this.bus = bus;
    this.ps2 = ps2;
    this.clock = clock;
  }

  /** Takes whole sequences of set 1, make and break. If too many bytes wait, they are dropped, but keys that are down are still released. */
  sendScancodes(codes: readonly number[]): void {
    const fits = this.waiting.length + codes.length <= WAITING_LIMIT_BYTES;
    const taken = fits ? codes : this.held.releasesIn(codes);
    for (const code of taken) this.waiting.push(code & 0xff);
    this.held.sent(taken);
    this.offer();
  }

  /** Releases every key and button: the person who pressed them cannot do it. */
  releaseAll(): void {
    this.sendScancodes(this.held.releases());
    this.sendMouse(0, 0, NO_BUTTONS);
  }

  /** Relative motion in pixels (down is positive) and the buttons now pressed. Motion is not kept while stopped. */
  sendMouse(dx: number, dy: number, buttons: readonly [boolean, boolean, boolean]): void {
    this.buttons = [...buttons];
    if (!this.running) return;
    this.tellButtons();
    let x = Math.trunc(dx);
    let y = Math.trunc(dy);
    while ((x !== 0 || y !== 0) && this.ps2.mouse_buffer.length < CONTROLLER_LIMIT_BYTES) {
      const stepX = Math.max(-LARGEST_MOTION, Math.min(LARGEST_MOTION, x));
      const stepY = Math.max(-LARGEST_MOTION, Math.min(LARGEST_MOTION, y));
      // The mouse's own y axis points up.
      this.bus.send('mouse-delta', [stepX, -stepY]);
      x -= stepX;
      y -= stepY;
    }
  }

  setRunning(running: boolean): void {
    this.running = running;
    if (running) {
      this.offer();
      this.tellButtons();
    } else {
      this.timer?.dispose();
      this.timer = null;
    }
  }

  /**
   * flags:u8 wheel:i8 keyboard:(count:u16 bytes) mouse:(count:u16 bytes) waiting:(count:u16 bytes), little-endian.
   * Break codes that release the keys still down are appended to the waiting bytes. This affects only the saved state:
   * if the machine continues here, the keys are still down.
   */
  saveQueues(): Uint8Array {
    const waiting = Uint8Array.from([...this.waiting.toBytes(), ...this.held.releases()]);
    const parts = [peek(this.ps2.kbd_buffer), peek(this.ps2.mouse_buffer), waiting];
    const bytes = new Uint8Array(2 + parts.reduce((sum, part) => sum + 2 + part.length, 0));
    const view = new DataView(bytes.buffer);
    bytes[0] = (this.ps2.next_byte_is_ready ? FLAG_READY : 0) | (this.ps2.next_byte_is_aux ? FLAG_FROM_MOUSE : 0);
    view.setInt8(1, this.ps2.wheel_movement);
    let at = 2;
    for (const part of parts) {
      view.setUint16(at, part.length, true);
      bytes.set(part, at + 2);
      at += 2 + part.length;
    }
    return bytes;
  }

  restoreQueues(bytes: Uint8Array): void {
    const { flags, wheel, parts } = parseQueues(bytes);
    const [keyboard, mouse, waiting] = parts;
    this.ps2.kbd_buffer.clear();
    this.ps2.mouse_buffer.clear();
    for (const byte of keyboard) this.ps2.kbd_buffer.push(byte);
    for (const byte of mouse) this.ps2.mouse_buffer.push(byte);
    // Whether the guest was told of a byte: its interrupt is in the interrupt controller's saved state.
    this.ps2.next_byte_is_ready = (flags & FLAG_READY) !== 0;
    this.ps2.next_byte_is_aux = (flags & FLAG_FROM_MOUSE) !== 0;
    this.ps2.wheel_movement = wheel;
    this.waiting.clear();
    this.waiting.pushAll(waiting);
    this.held.clear();
    this.buttons = NO_BUTTONS;
    this.buttonsTold = NO_BUTTONS;
    // v86 makes the mouse packet, as its format depends on the mode that the guest set.
    if (this.ps2.mouse_clicks !== 0) this.bus.send('mouse-click', [...NO_BUTTONS]);
  }

  dispose(): void {
    this.running = false;
    this.timer?.dispose();
    this.timer = null;
  }

  private tellButtons(): void {
    if (this.buttons.every((pressed, index) => pressed === this.buttonsTold[index])) return;
    this.buttonsTold = this.buttons;
    this.bus.send('mouse-click', [...this.buttons]);
  }

  private offer(): void {
    if (!this.running || this.timer !== null) return;
    while (this.waiting.length > 0 && this.ps2.kbd_buffer.length < CONTROLLER_LIMIT_BYTES) {
      this.bus.send('keyboard-code', this.waiting.shift());
    }
    if (this.waiting.length === 0) return;
    this.timer = this.clock.setTimeout(() => {
      this.timer = null;
      this.offer();
    }, OFFER_MS);
  }
}

function peek(queue: Ps2QueueLike): Uint8Array {
  const bytes = Uint8Array.from({ length: queue.length }, () => queue.shift());
  for (const byte of bytes) queue.push(byte);
  return bytes;
}

function parseQueues(bytes: Uint8Array): { flags: number; wheel: number; parts: readonly [Uint8Array, Uint8Array, Uint8Array] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const broken = (): MachineError =>
    new MachineError('state-invalid', 'The saved keyboard and mouse queues are damaged; the VM cannot be restored from this state.');
  let at = 2;
  const part = (limit: number): Uint8Array => {
    if (at + 2 > bytes.length) throw broken();
    const length = view.getUint16(at, true);
    if (length > limit || at + 2 + length > bytes.length) throw broken();
    at += 2 + length;
    return bytes.slice(at - length, at);
  };
  if (bytes.length < 2) throw broken();
  const parts = [part(QUEUE_LIMIT_BYTES), part(QUEUE_LIMIT_BYTES), part(WAITING_LIMIT_BYTES + 2 * RELEASES_LIMIT_BYTES)] as const;
  if (at !== bytes.length) throw broken();
  return { flags: bytes[0] ?? 0, wheel: view.getInt8(1), parts };
}
