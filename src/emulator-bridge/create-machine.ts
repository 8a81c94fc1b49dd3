/**
 * Builds the emulated PC on v86: connects the parts, and keeps the rules of SourceVm and TargetVm (migration/ports.ts)
 * about what may be called when.
 */
import { Emitter } from '../shared/emitter.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { Bitmap } from '../shared/bitmap.ts';
import type { Fingerprint } from '../migration/fingerprint.ts';
import type { PageSpace } from '../migration/ports.ts';
import { checkFits, type BaseSnapshot } from './base-snapshot.ts';
import { decodeDeviceState, encodeDeviceState, type DeviceState } from './device-state.ts';
import { GuestClock } from './guest-clock.ts';
import { GuestMemory } from './guest-memory.ts';
import { restoreHiddenState, saveHiddenState } from './hidden-state.ts';
import { MachineError } from './machine-error.ts';
import type { Machine, MachineEnd, MachineParts, MachineState, NetworkCard, Screen, SerialPort } from './machine.ts';
import { VirtioNetworkCard } from './network-card.ts';
import { OverlayDisk } from './overlay-disk.ts';
import { Pacer, type TaskSource } from './pacer.ts';
import { PanicWatch } from './panic-watch.ts';
import { platformTasks } from './platform-tasks.ts';
import { GuestScreen } from './screen.ts';
import { UartSerialPort } from './serial-port.ts';
import { startV86, V86_DEVICES } from './start-v86.ts';
import type { V86Cpu, V86Instance } from './v86-api.ts';
import { V86Devices } from './v86-devices.ts';
import { V86_VERSION } from './v86-version.ts';
import { FRAME_BUFFER_BYTES } from './video-memory.ts';
import type { WriteTracking } from './write-tracking.ts';

/** EFLAGS: interrupts are enabled. */
const FLAG_INTERRUPT = 0x200;

const SWITCHED_OFF: MachineEnd = { kind: 'switched-off', sentence: 'The guest powered off.' };
const NOTHING = new Uint8Array(0);
const EMPTY_STATE: DeviceState = {
  clock: { tsc: 0n, monotonicMs: 0, wallMs: 0 },
  v86: NOTHING,
  hidden: NOTHING,
  uart0: NOTHING,
  uart1: NOTHING,
  input: NOTHING,
  scrollback: NOTHING,
};

/** Digests of the parts, hexadecimal; two machines may only exchange a guest if all are equal. */
interface PartDigests {
  readonly emulator: string;
  readonly disk: string;
  readonly snapshot: string;
}

export interface MachineOptions {
  /** Absent where nothing is ever migrated (the guest's recipe, tests): empty in the fingerprint. */
  readonly digests?: PartDigests;
  /** Schedules the CPU's turns; default: the platform's tasks. */
  readonly tasks?: TaskSource;
}

/**
 * Builds a machine that is switched on but does not run yet; run(0) boots it from its disk, or loadBaseSnapshot()
 * brings it to the base snapshot first. Rejects with MachineError if a part does not fit.
 */
export async function createMachine(parts: MachineParts, options: MachineOptions = {}): Promise<Machine> {
  const overlay = new OverlayDisk(parts.disk);
  let pc: V86Pc | null = null;
  const { instance, tracking } = await startV86(parts, overlay, () => pc?.panic.reported());
  pc = new V86Pc(parts, options, instance, overlay, tracking);
  return pc;
}

class V86Pc implements Machine {
  readonly fingerprint: Fingerprint;
  readonly space: PageSpace;
  readonly console: SerialPort;
  readonly agent: SerialPort;
  readonly network: NetworkCard;
  readonly screen: Screen;
  readonly panic: PanicWatch;
  private readonly cpu: V86Cpu;
  private readonly overlay: OverlayDisk;
  private readonly memory: GuestMemory;
  private readonly devices: V86Devices;
  private readonly clock: GuestClock;
  private readonly pacer: Pacer;
  private readonly ports;
  private readonly states = new Emitter<MachineState>();
  private readonly troubles = new Emitter<string>();
  private readonly aliveWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
  private now: MachineState | 'discarded' = 'stopped';
  private ended: MachineEnd | null = null;
  /** Has run, or has been given a snapshot. */
  private used = false;
  private countAtRun = 0;
  private lives = false;
  /** Memory was written without the emulator knowing: its TLB and compiled code may reflect the old content. */
  private stale = false;
  private base: BaseSnapshot | null = null;
  /** Nothing has happened since the base snapshot was loaded. */
  private untouched = false;

  constructor(parts: MachineParts, options: MachineOptions, instance: V86Instance, overlay: OverlayDisk, tracking: WriteTracking) {
    const digests = options.digests ?? { emulator: '', disk: '', snapshot: '' };
    this.cpu = instance.v86.cpu;
    this.overlay = overlay;
    this.memory = new GuestMemory(this.cpu, overlay, tracking);
    this.devices = new V86Devices(instance);
    this.clock = new GuestClock(this.cpu);
    this.pacer = new Pacer(instance.v86, options.tasks ?? platformTasks(), {
      afterTick: () => this.afterTick(),
      onCrash: (error) => this.crashed(error),
    });
    this.ports = {
      console: new UartSerialPort(instance.bus, this.cpu.devices.uart0, 0),
      agent: new UartSerialPort(instance.bus, this.cpu.devices.uart1, 1),
      network: new VirtioNetworkCard(instance.bus, this.cpu.devices.virtio_net),
      screen: new GuestScreen(instance.bus, this.cpu.devices.vga, this.cpu.devices.ps2),
    };
    this.panic = new PanicWatch({ instructionCount: () => this.instructionCount(), printed: () => this.scrollback() });
    this.console = this.ports.console;
    this.agent = this.ports.agent;
    this.network = this.ports.network;
    this.screen = this.ports.screen;
    this.space = this.memory.space;
    this.fingerprint = {
      v86Version: V86_VERSION,
      emulatorDigest: digests.emulator,
      memoryBytes: parts.memoryBytes,
      videoMemoryBytes: FRAME_BUFFER_BYTES,
      diskBytes: parts.disk.byteLength,
      devices: V86_DEVICES,
      diskDigest: digests.disk,
      snapshotDigest: digests.snapshot,
    };
    for (const source of [overlay, this.ports.console, this.ports.agent]) source.onTrouble((sentence) => this.troubles.emit(sentence));
    instance.add_listener('cpu-event-halt', () => void this.pacer.betweenTicks(() => this.halted()));
    this.resetRight();
  }

  get state(): MachineState {
    return this.now === 'discarded' ? 'stopped' : this.now;
  }

  get end(): MachineEnd | null {
    return this.ended;
  }

  onState(listener: (state: MachineState) => void): Disposable {
    return this.states.on(listener);
  }

  onTrouble(listener: (sentence: string) => void): Disposable {
    return this.troubles.on(listener);
  }

  scrollback(): Uint8Array {
    return this.ports.console.scrollback();
  }

  instructionCount(): number {
    return this.cpu.instruction_counter[0] ?? 0;
  }

  loadBaseSnapshot(base: BaseSnapshot): void {
    this.mustBe('stopped', 'load a base snapshot into');
    if (this.used) throw wrongMoment('A base snapshot is loaded into a new machine only; create another one.');
    checkFits(base, this.space);
    this.used = true;
    this.memory.clearFirmware();
    for (const { pages, data } of base.blocks) this.memory.writePages(pages, data);
    this.restoreBase(base.devices);
    this.memory.isBase();
    this.base = base;
    this.untouched = true;
    this.stale = true;
  }

  restoreBaseDevices(): void {
    if (!this.untouched || this.base === null) throw wrongMoment('The devices are not those of a base snapshot that was just loaded.');
    this.restoreBase(this.base.devices);
  }

  async startDirtyLog(): Promise<void> {
    await this.pacer.betweenTicks(() => {
      this.mustLive();
      this.memory.startDirtyLog();
      // A rehearsal: once the host has compiled the code that saves, saving in the pause takes a tenth of the time.
      encodeDeviceState({ ...EMPTY_STATE, v86: this.devices.save(), hidden: this.saveHidden() });
    });
  }

  takeDirty(): Promise<Bitmap> {
    return this.pacer.betweenTicks(() => {
      this.mustLive();
      if (!this.memory.isLogging) throw wrongMoment('The dirty log is taken after startDirtyLog(), and it was not started.');
      return this.memory.takeDirty();
    });
  }

  stopDirtyLog(): void {
    this.memory.stopDirtyLog();
  }

  differsFromBase(): Bitmap {
    this.mustLive();
    return this.memory.differsFromBase();
  }

  basePage(page: number): Uint8Array | null {
    return this.base?.page(page) ?? null;
  }

  baseDevices(): Uint8Array | null {
    return this.base?.devices ?? null;
  }

  readPages(pages: Uint32Array, into: Uint8Array): void {
    this.mustLive();
    this.memory.readPages(pages, into);
  }

  writePages(pages: Uint32Array, data: Uint8Array): void {
    this.mustBe('stopped', 'write pages of');
    this.untouched = false;
    this.memory.writePages(pages, data);
    this.stale = true;
  }

  throttle(cpuFraction: number): void {
    this.pacer.throttle(cpuFraction);
  }

  async pause(): Promise<void> {
    this.mustLive();
    await this.pacer.stop();
    // Another host would not know what the kernel has reported here.
    if (this.now !== 'running' || this.panicEnds(true)) return;
    this.clock.stopped();
    this.become('stopped');
  }

  async drainDisk(): Promise<void> {
    this.mustNotRun('drain the disk of');
    await this.overlay.drain();
  }

  saveDevices(): Promise<Uint8Array> {
    return atOnce(() => {
      this.mustNotRun('save the devices of');
      if (this.overlay.inFlight > 0) throw wrongMoment('The guest waits for its disk: drainDisk() comes before saveDevices().');
      const { console, agent, screen } = this.ports;
      return encodeDeviceState({
        clock: this.clock.reading(),
        v86: this.devices.save(),
        hidden: this.saveHidden(),
        uart0: console.saveQueue(),
        uart1: agent.saveQueue(),
        input: screen.saveQueues(),
        scrollback: console.scrollback(),
      });
    });
  }

  restoreDevices(bytes: Uint8Array): Promise<void> {
    return atOnce(() => {
      this.mustBe('stopped', 'restore the devices of');
      this.untouched = false;
      const state = decodeDeviceState(bytes);
      this.devices.check(state.v86);
      this.restore(state);
      this.clock.continueFrom(state.clock, 'moved');
      this.stale = true;
    });
  }

  run(stoppedForMs: number): Promise<void> {
    return atOnce(() => {
      this.mustBe('stopped', 'start');
      this.untouched = false;
      if (this.stale) {
        this.cpu.wm.exports.jit_clear_cache_js();
        this.cpu.full_clear_tlb();
        this.redraw();
        this.stale = false;
      }
      if (this.isHalted()) {
        this.powerOff(SWITCHED_OFF);
        return;
      }
      this.clock.start(stoppedForMs);
      this.start();
    });
  }

  resume(): Promise<void> {
    // On the host where the guest stopped, its clocks kept running with the host's.
    return this.run(0);
  }

  alive(): Promise<void> {
    if (this.lives && this.now === 'running') return Promise.resolve();
    if (this.ended !== null) return Promise.reject(poweredOff(this.ended));
    if (this.now === 'discarded') return Promise.reject(discarded());
    return new Promise((resolve, reject) => this.aliveWaiters.push({ resolve, reject }));
  }

  timeStamp(): bigint {
    return this.clock.timeStamp();
  }

  setRealTime(wallMs: number): void {
    this.clock.setRealTime(wallMs);
  }

  reset(): void {
    this.mustLive();
    void this.pacer.betweenTicks(() => {
      this.cpu.reboot_internal();
      if (this.now === 'powered-off') this.start();
    });
  }

  discard(): void {
    if (this.now === 'discarded') return;
    this.now = 'discarded';
    this.untouched = false;
    this.base = null;
    this.pacer.dispose();
    this.overlay.dispose();
    for (const port of Object.values(this.ports)) port.dispose();
    for (const waiter of this.aliveWaiters.splice(0)) waiter.reject(discarded());
    this.states.dispose();
    this.troubles.dispose();
  }

  private start(): void {
    this.used = true;
    this.ended = null;
    this.lives = false;
    this.countAtRun = this.instructionCount();
    this.become('running');
    this.pacer.run();
  }

  private saveHidden(): Uint8Array {
    return saveHiddenState(this.cpu, this.panic.since());
  }

  private restoreBase(devices: Uint8Array): void {
    const state = decodeDeviceState(devices);
    this.devices.check(state.v86);
    this.restore(state);
    this.clock.continueFrom(state.clock, 'switched-off');
  }

  /** A failure leaves devices of two machines mixed: this one is discarded then. */
  private restore(state: DeviceState): void {
    try {
      this.devices.restore(state.v86);
      this.panic.continueFrom(restoreHiddenState(this.cpu, state.hidden));
      this.ports.screen.restoreQueues(state.input);
      this.ports.console.restoreQueue(state.uart0);
      this.ports.console.restoreScrollback(state.scrollback);
      this.ports.agent.restoreQueue(state.uart1);
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  private afterTick(): void {
    this.panicEnds();
    if (this.lives || this.now !== 'running' || this.instructionCount() === this.countAtRun) return;
    this.lives = true;
    for (const waiter of this.aliveWaiters.splice(0)) waiter.resolve();
  }

  /** `hlt` with interrupts off: only a reset can wake this CPU. With ACPI off, this is how Linux ends. */
  private isHalted(): boolean {
    return this.cpu.in_hlt[0] !== 0 && ((this.cpu.flags[0] ?? 0) & FLAG_INTERRUPT) === 0;
  }

  private halted(): void {
    if (this.now !== 'running' || !this.isHalted()) return;
    void this.pacer.stop();
    this.clock.stopped();
    this.powerOff(SWITCHED_OFF);
  }

  /** Call between ticks. Powers off once a panic is over, and returns whether it did. `stops`: the CPU is about to stop. */
  private panicEnds(stops = false): boolean {
    const sentence = this.now === 'running' ? this.panic.over(stops) : null;
    if (sentence === null) return false;
    void this.pacer.stop();
    this.clock.stopped();
    this.powerOff({ kind: 'panicked', sentence });
    return true;
  }

  private crashed(error: unknown): void {
    // Without an interrupt descriptor table, an interrupt causes a triple fault, which resets a PC: Linux's last way to
    // restart. v86 gives up instead.
    if (this.cpu.idtr_size[0] === 0 && this.now === 'running') {
      void this.pacer.betweenTicks(() => {
        this.cpu.reboot_internal();
        this.pacer.run();
      });
      return;
    }
    this.powerOff({
      kind: 'emulator-failed',
      sentence: `The emulator failed, and the guest with it: ${error instanceof Error ? error.message : String(error)}.`,
    });
  }

  private powerOff(end: MachineEnd): void {
    this.ended = end;
    this.become('powered-off');
    for (const waiter of this.aliveWaiters.splice(0)) waiter.reject(poweredOff(end));
  }

  /** A reset sets the x87 control word, and sets the TSC to zero, which v86 only does right from an offset of zero. It also ends a panic. */
  private resetRight(): void {
    const stock = this.cpu.reboot_internal.bind(this.cpu);
    this.cpu.reboot_internal = () => {
      this.clock.zeroTscOffset();
      this.panic.continueFrom(null);
      stock();
      this.devices.applyControlWord();
    };
  }

  private redraw(): void {
    const { vga } = this.cpu.devices;
    if (vga.graphical_mode && !vga.svga_enabled) vga.complete_replot();
    vga.complete_redraw();
  }

  private become(state: MachineState): void {
    if (this.now === state || this.now === 'discarded') return;
    this.now = state;
    for (const port of Object.values(this.ports)) port.setRunning(state === 'running');
    this.states.emit(state);
  }

  private mustLive(): void {
    if (this.now === 'discarded') throw discarded();
  }

  private mustNotRun(what: string): void {
    this.mustLive();
    if (this.now === 'running') throw wrongMoment(`You cannot ${what} a machine that runs: pause it first.`);
  }

  private mustBe(state: MachineState, what: string): void {
    this.mustLive();
    if (this.now !== state) throw wrongMoment(`You cannot ${what} a machine that is ${this.now}; it must be ${state}.`);
  }
}

/** Runs `action` now and returns its outcome as a promise. Calls that change the machine take effect in the order they are made. */
function atOnce<T>(action: () => T): Promise<T> {
  return new Promise((resolve) => resolve(action()));
}

function wrongMoment(sentence: string): MachineError {
  return new MachineError('machine-state', sentence);
}

function poweredOff({ sentence }: MachineEnd): MachineError {
  return new MachineError('machine-state', `${sentence} Start it again.`);
}

function discarded(): MachineError {
  return new MachineError('machine-state', 'This machine was discarded. Create a new one.');
}
