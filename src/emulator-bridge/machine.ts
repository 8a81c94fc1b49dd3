/**
 * The emulated PC as the rest of the project sees it. `createMachine` (create-machine.ts) builds one on v86; it runs the
 * same in a browser's worker and in Node (the guest's recipe boots the base snapshot there).
 */
import type { BaseSnapshot } from './base-snapshot.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { MacAddress } from '../shared/ids.ts';
import type { SourceVm, TargetVm } from '../migration/ports.ts';

/** Random access to the immutable base image. Reads are checked against the manifest's digests before they resolve. */
export interface BaseDisk {
  readonly byteLength: number;
  /** Best unit to read in (aligned), if there is one. */
  readonly chunkBytes?: number;
  /** Resolves with exactly `length` bytes; rejects with a MachineError naming the cause. */
  read(offset: number, length: number): Promise<Uint8Array>;
  dispose(): void;
}

/** Everything a machine is made of. Byte arrays are not modified and may be shared between machines. */
export interface MachineParts {
  /** The rewritten v86.wasm (write-tracking.ts). */
  readonly emulator: WebAssembly.Module;
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
  readonly memoryBytes: number;
  readonly disk: BaseDisk;
}

/** A console byte stream; the guest's first serial port, or its agent's (the second). */
export interface SerialPort {
  /** The number of bytes that `write` accepts now; it drops the rest. */
  readonly room: number;
  write(bytes: Uint8Array): void;
  onData(listener: (bytes: Uint8Array) => void): Disposable;
}

/** The guest's virtio network card. */
export interface NetworkCard {
  /** Set before the guest's driver loads. */
  setMac(mac: MacAddress): void;
  readonly mac: MacAddress;
  /** Frames the guest sends. */
  onFrame(listener: (frame: Uint8Array) => void): Disposable;
  /** False while the guest's driver has no room for a frame, or the machine is stopped: keep the frame and ask again. */
  deliver(frame: Uint8Array): boolean;
  /** Called when deliver() may succeed again. */
  onReady(listener: () => void): Disposable;
}

/** The guest's screen, when it uses one; see screen.ts. */
export interface Screen {
  /** Draws on this canvas from now on (null = nowhere). */
  attach(canvas: OffscreenCanvas | null): void;
  /** Text-mode lines, for tests and screen readers; null in graphics mode. */
  text(): string[] | null;
  sendScancodes(codes: readonly number[]): void;
  /** Relative motion in pixels and pressed buttons (left, middle, right). */
  sendMouse(dx: number, dy: number, buttons: readonly [boolean, boolean, boolean]): void;
}

export type MachineState = 'stopped' | 'running' | 'powered-off';

/** Why a machine powered off by itself. */
export interface MachineEnd {
  readonly kind: 'switched-off' | 'panicked' | 'emulator-failed';
  /** For people. */
  readonly sentence: string;
}

export interface Machine extends SourceVm, TargetVm {
  readonly console: SerialPort;
  /** The last bytes the console printed (bounded scroll-back); moves with the VM. */
  scrollback(): Uint8Array;
  readonly agent: SerialPort;
  readonly network: NetworkCard;
  readonly screen: Screen;
  readonly state: MachineState;
  onState(listener: (state: MachineState) => void): Disposable;
  /** Why it is powered off; null in any other state. */
  readonly end: MachineEnd | null;
  /** An error that does not stop the machine, e.g. a disk read that is retried: a sentence for the owner's log. */
  onTrouble(listener: (sentence: string) => void): Disposable;
  /** Loads RAM and devices of the base snapshot; the machine stays stopped. Once, before anything else. */
  loadBaseSnapshot(snapshot: BaseSnapshot): void;
  /** Restores the devices of the base snapshot once more, which changes nothing: a rehearsal of an arrival. Only while nothing else has happened since it was loaded; throws otherwise. */
  restoreBaseDevices(): void;
  /** The guest's time-stamp counter (`rdtsc`): nanoseconds since it booted, wherever it ran. */
  timeStamp(): bigint;
  /** Sets the real-time clock, in milliseconds since 1970. The guest reads it when it boots. */
  setRealTime(wallMs: number): void;
  /** Presses the reset button. */
  reset(): void;
  /** Live instruction counter (wraps); a sign that the guest executes. */
  instructionCount(): number;
  discard(): void;
}
