/**
 * A small PC for tests: memory, a guest that writes into it at random while it runs, and a counter that shows which
 * instant of the guest's life a copy holds. It keeps every promise of SourceVm and TargetVm and nothing more.
 */
import { Bitmap } from '../../shared/bitmap.ts';
import { PAGE_SIZE } from '../../shared/page.ts';
import type { Fingerprint } from '../fingerprint.ts';
import type { PageSpace, SourceVm, TargetVm } from '../ports.ts';
import { totalPages } from '../ports.ts';
import type { Host } from './world.ts';
import type { SeededRandom } from './seeded-random.ts';

export const MODEL_SPACE: PageSpace = { ramPages: 40, videoPages: 4, diskPages: 20 };

export const MODEL_FINGERPRINT: Fingerprint = {
  v86Version: '0.5.462',
  emulatorDigest: 'e'.repeat(64),
  memoryBytes: MODEL_SPACE.ramPages * PAGE_SIZE,
  videoMemoryBytes: MODEL_SPACE.videoPages * PAGE_SIZE,
  diskBytes: MODEL_SPACE.diskPages * PAGE_SIZE,
  devices: ['ide', 'uart0', 'virtio-net'],
  diskDigest: 'd'.repeat(64),
  snapshotDigest: '5'.repeat(64),
};

export type VmOperation = 'startDirtyLog' | 'takeDirty' | 'pause' | 'drainDisk' | 'saveDevices' | 'resume' | 'restoreDevices' | 'run' | 'alive';

/** Shorter than what saveDevices() gives. */
const BASE_DEVICES = new Uint8Array(65_000).fill(9);

/** A page, and how many of its words are written. */
export interface Write {
  readonly page: number;
  readonly words: number;
}

export interface ModelVmOptions {
  readonly host: Host;
  readonly random: SeededRandom;
  /** Pages the guest writes in one of its steps. */
  readonly writesPerStep?: number;
  /** The pages the guest writes in each of its steps, in place of random ones; what it writes does not compress. */
  readonly writes?: (step: number) => readonly Write[];
  readonly fingerprint?: Fingerprint;
  readonly space?: PageSpace;
}

export class ModelVm implements SourceVm, TargetVm {
  readonly fingerprint: Fingerprint;
  readonly space: PageSpace;
  readonly memory: Uint8Array;
  /** Operations that reject with this error, or never settle. A guest whose `alive` is broken executes nothing. */
  readonly broken = new Map<VmOperation, Error | 'hangs'>();
  logging = false;
  cpuFraction = 1;
  running = false;
  discarded = false;
  stoppedForMs: number | null = null;
  /** When its CPU was stopped and started last, on its host's clock. */
  stoppedAt: number | null = null;
  startedAt: number | null = null;
  /** Called with the guest's counter after every step: this is what the world sees of the guest. */
  onStep: (counter: number) => void = () => undefined;
  private readonly options: ModelVmOptions;
  private readonly base: Uint8Array;
  private readonly differs: Bitmap;
  private dirty: Bitmap;
  private steps = 0;
  private stepListeners: (() => void)[] = [];
  private writtenWhileStopped = 0;

  constructor(options: ModelVmOptions) {
    this.options = options;
    this.fingerprint = options.fingerprint ?? MODEL_FINGERPRINT;
    this.space = options.space ?? MODEL_SPACE;
    const pages = totalPages(this.space);
    this.differs = new Bitmap(pages);
    this.dirty = new Bitmap(pages);
    this.memory = baseMemory(pages);
    this.base = this.memory.slice();
    options.host.addSource(() =>
      this.running && !this.discarded && !this.broken.has('alive') ? { name: 'guest runs', idle: true, run: () => this.step() } : null,
    );
  }

  /** The guest's own count of its steps, in its memory. */
  get counter(): number {
    return new DataView(this.memory.buffer).getUint32(0);
  }

  /** A VM that has run for a while: some pages differ from the base, some of them hold zeros. */
  static running(options: ModelVmOptions, steps = 10): ModelVm {
    const vm = new ModelVm(options);
    vm.running = true;
    for (let count = 0; count < steps; count++) vm.step();
    vm.zeroPage(options.random.below(vm.space.ramPages - 1) + 1);
    vm.zeroPage(options.random.below(vm.space.ramPages - 1) + 1);
    return vm;
  }

  /** The guest executes: counts, and writes into some pages. */
  step(): void {
    const { random, writesPerStep = 2, writes } = this.options;
    this.steps++;
    new DataView(this.memory.buffer).setUint32(0, this.counter + 1);
    this.mark(0);
    if (random.chance(this.cpuFraction)) {
      if (writes !== undefined) for (const write of writes(this.steps)) this.work(write);
      else for (let count = 0; count < writesPerStep; count++) this.scribble();
    }
    const listeners = this.stepListeners;
    this.stepListeners = [];
    for (const listener of listeners) listener();
    this.onStep(this.counter);
  }

  async startDirtyLog(): Promise<void> {
    await this.takes('startDirtyLog');
    this.logging = true;
    this.dirty.clear();
  }

  async takeDirty(): Promise<Bitmap> {
    await this.takes('takeDirty');
    const { dirty } = this;
    this.dirty = new Bitmap(dirty.size);
    return dirty;
  }

  stopDirtyLog(): void {
    this.logging = false;
  }

  differsFromBase(): Bitmap {
    return this.differs.copy();
  }

  basePage(page: number): Uint8Array | null {
    return page < this.space.ramPages + this.space.videoPages && page % 3 !== 0 ? this.base.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE) : null;
  }

  baseDevices(): Uint8Array | null {
    return BASE_DEVICES;
  }

  readPages(pages: Uint32Array, into: Uint8Array): void {
    pages.forEach((page, index) => into.set(this.page(page), index * PAGE_SIZE));
  }

  writePages(pages: Uint32Array, data: Uint8Array): void {
    pages.forEach((page, index) => {
      this.page(page).set(data.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE));
      this.mark(page);
    });
  }

  throttle(cpuFraction: number): void {
    this.cpuFraction = cpuFraction;
  }

  async pause(): Promise<void> {
    await this.takes('pause');
    this.stoppedAt = this.options.host.clock.now();
    this.running = false;
  }

  /** A disk read that was in flight ends up in memory, although the CPU is stopped. */
  async drainDisk(): Promise<void> {
    await this.takes('drainDisk');
    if (this.running) throw new Error('The disk may be drained only when the CPU is stopped');
    this.scribble();
    this.writtenWhileStopped++;
  }

  async saveDevices(): Promise<Uint8Array> {
    await this.takes('saveDevices');
    if (this.running) throw new Error('The devices may be saved only when the CPU is stopped');
    const state = new Uint8Array(70_000).fill(this.counter & 0xff);
    new DataView(state.buffer).setUint32(0, this.counter);
    return state;
  }

  async resume(): Promise<void> {
    await this.takes('resume');
    if (!this.discarded) this.running = true;
  }

  async restoreDevices(state: Uint8Array): Promise<void> {
    await this.takes('restoreDevices');
    const counter = new DataView(state.buffer, state.byteOffset).getUint32(0);
    if (counter !== this.counter) throw new Error(`Devices of step ${counter} do not fit memory of step ${this.counter}`);
  }

  async run(stoppedForMs: number): Promise<void> {
    await this.takes('run');
    this.stoppedForMs = stoppedForMs;
    this.startedAt = this.options.host.clock.now();
    if (!this.discarded) this.running = true;
  }

  async alive(): Promise<void> {
    await this.takes('alive');
    await new Promise<void>((resolve) => this.stepListeners.push(resolve));
  }

  discard(): void {
    this.discarded = true;
    this.running = false;
    this.logging = false;
  }

  /** Marks these pages as written, because the test has written them. */
  touch(from: number, to: number): void {
    for (let page = from; page < to; page++) this.mark(page);
  }

  private zeroPage(page: number): void {
    this.page(page).fill(0);
    this.mark(page);
  }

  /** Writes somewhere; now and then it clears a page or writes what is there already. */
  private scribble(): void {
    const { random } = this.options;
    const page = 1 + random.below(totalPages(this.space) - 1);
    const kind = random.below(8);
    if (kind === 0) this.page(page).fill(0);
    else if (kind > 1) this.page(page).fill(random.below(256), random.below(2048), 2048 + random.below(2048));
    this.mark(page);
  }

  private work({ page, words: count }: Write): void {
    const words = new Uint32Array(this.memory.buffer, page * PAGE_SIZE, count);
    for (let index = 0; index < words.length; index++) words[index] = this.options.random.below(2 ** 31);
    this.mark(page);
  }

  private mark(page: number): void {
    this.differs.add(page);
    if (this.logging) this.dirty.add(page);
  }

  private page(page: number): Uint8Array {
    return this.memory.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  }

  private async takes(operation: VmOperation): Promise<void> {
    const trouble = this.broken.get(operation);
    if (trouble === 'hangs') await new Promise(() => undefined);
    await this.options.host.whenPicked(operation);
    if (trouble instanceof Error) throw trouble;
  }
}

/** What every host has from the base snapshot. */
function baseMemory(pages: number): Uint8Array {
  const memory = new Uint8Array(pages * PAGE_SIZE);
  for (let page = 0; page < pages; page++) {
    if (page % 3 !== 0) memory.fill(page, page * PAGE_SIZE, page * PAGE_SIZE + 1500);
  }
  return memory;
}
