/** A PC on a virtual host, and its moved twin. Both run slice by slice, and everything in them is compared. Node only. */
import type { VirtualHost } from './virtual-time.ts';
import { PAGE_SIZE } from '../../shared/page.ts';
import { createMachine } from '../create-machine.ts';
import type { Machine, MachineParts } from '../machine.ts';
import type { OverlayDisk } from '../overlay-disk.ts';
import type { Ps2QueueLike } from '../ps2-input.ts';
import type { V86Cpu, V86Drive } from '../v86-api.ts';
import { transferAtHand } from '../v86-devices.ts';
import { objectsOf, type V86Object } from './v86-objects.ts';

export interface TwinPc {
  readonly host: VirtualHost;
  readonly machine: Machine;
  /** The emulator inside the machine. */
  readonly cpu: TwinCpu;
  /** Requests to the disk that are not answered yet. */
  readonly disk: { readonly waiting: number };
  /** Actions that take effect between this slice and the next: installing compiled code, and completing disk requests. */
  readonly between: (() => void)[];
}

/** Members of v86 that the comparison uses in addition to those the bridge uses. */
interface TwinCpu extends V86Cpu {
  readonly jit_imports: WebAssembly.ModuleImports;
  readonly wm: V86Cpu['wm'] & { readonly wasm_table: WebAssembly.Table };
  set_jit_config(index: number, value: number): void;
  codegen_finalize(index: number, start: number, flags: number, at: number, length: number): void;
  codegen_finalize_finished(index: number, start: number, flags: number): void;
}

/** Where v86 puts compiled code in its table of functions. */
const FIRST_COMPILED = 1024;

/** Returns a stopped PC. Its compiler and its disk always take the same time: until the next slice. */
export async function startPc(host: VirtualHost, parts: MachineParts): Promise<TwinPc> {
  const machine = await host.at(() => createMachine(parts, { tasks: host.tasks }));
  const { cpu, overlay } = machine as unknown as { readonly cpu: TwinCpu; readonly overlay: OverlayDisk };
  const between: (() => void)[] = [];
  cpu.codegen_finalize = (index, start, flags, at, length) => {
    const code = new Uint8Array(cpu.wasm_memory.buffer, at >>> 0, length >>> 0).slice();
    between.push(() => {
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { e: cpu.jit_imports });
      cpu.wm.wasm_table.set(index + FIRST_COMPILED, exports['f']);
      cpu.codegen_finalize_finished(index, start, flags);
    });
  };
  const [read, write] = [overlay.get.bind(overlay), overlay.set.bind(overlay)];
  const disk = { waiting: 0 };
  const arrived = (action: () => void): void => {
    disk.waiting--;
    between.push(action);
  };
  overlay.get = (offset, length, done, options) => {
    disk.waiting++;
    host.aside(() => read(offset, length, (data) => arrived(() => done(data)), options));
  };
  overlay.set = (offset, data, done) => {
    disk.waiting++;
    host.aside(() => write(offset, data, () => arrived(done)));
  };
  return { host, machine, cpu, disk, between };
}

/** Runs `slices` tasks of the PC's host, each with everything that it triggers. */
export async function runSlices(pc: TwinPc, slices: number): Promise<void> {
  for (let slice = 0; slice < slices; slice++) {
    pc.host.step();
    // Runs the microtasks in which adapters work as soon as the CPU's turn is over.
    await Promise.resolve();
    while (pc.disk.waiting > 0) await afterTasks();
    for (const action of pc.between.splice(0)) pc.host.at(action);
  }
}

function afterTasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Stops the PC between two slices. */
export async function stop(pc: TwinPc): Promise<void> {
  await pc.host.at(() => pc.machine.pause());
  pc.host.forgetTasks();
}

/**
 * Stops the source and copies it to `target`, which does not run. Then both run, with their clocks at the same time.
 * `whole`: the two have no common base snapshot.
 */
export async function moveTo(source: TwinPc, target: TwinPc, whole = true): Promise<void> {
  await stop(source);
  await source.machine.drainDisk();
  target.host.setLike(source.host);
  const { ramPages, videoPages } = source.machine.space;
  const differs = source.machine.differsFromBase();
  const fixed = ramPages + videoPages;
  const pages = whole ? [...Array.from({ length: fixed }, (_, page) => page), ...differs.toArray().filter((page) => page >= fixed)] : differs.toArray();
  for (let at = 0; at < pages.length; at += BATCH_PAGES) {
    const batch = Uint32Array.from(pages.slice(at, at + BATCH_PAGES));
    const data = new Uint8Array(batch.length * PAGE_SIZE);
    source.machine.readPages(batch, data);
    target.machine.writePages(batch, data);
  }
  await target.host.at(async () => target.machine.restoreDevices(await source.host.at(() => source.machine.saveDevices())));
  // The target has no compiled code and an empty TLB. Both are cleared in the source too, so that both do the same.
  source.between.length = 0;
  target.between.length = 0;
  source.cpu.wm.exports.jit_clear_cache_js();
  source.cpu.full_clear_tlb();
  await source.host.at(() => source.machine.resume());
  await target.host.at(() => target.machine.run(0));
  if (source.host.timeMs < target.host.timeMs) source.host.setLike(target.host);
  else target.host.setLike(source.host);
}

export interface CompareOptions {
  /** Also all devices. */
  readonly devices: boolean;
  /** Also RAM and video memory, which takes longer. */
  readonly memory: boolean;
  /** Whether this field (`kind.field`), or the register at this place (`register.664`), may differ. */
  readonly mayDiffer: (place: string) => boolean;
}

/** Pages copied in one go. */
const BATCH_PAGES = 4096;
/** Bytes of v86.wasm's memory where the CPU's registers are. */
const REGISTER_BYTES = 4096;

/** What differs between two PCs that should be alike: registers by address, devices by the path of the field. */
export function differences(one: TwinPc, other: TwinPc, options: CompareOptions): string[] {
  const found: string[] = [];
  if (one.host.timeMs !== other.host.timeMs) found.push(`time: ${one.host.timeMs} and ${other.host.timeMs}`);
  const [left, right] = [bytesOf(one, 0, REGISTER_BYTES), bytesOf(other, 0, REGISTER_BYTES)];
  if (!left.equals(right)) {
    for (let at = 0; at < REGISTER_BYTES; at += 4) {
      const [a, b] = [left.readUInt32LE(at), right.readUInt32LE(at)];
      if (a !== b && !options.mayDiffer(`register.${at}`)) found.push(`register.${at}: ${a.toString(16)} and ${b.toString(16)}`);
    }
  }
  for (const [name, bytes] of [
    ['get_pic_addr_master', 13],
    ['get_pic_addr_slave', 13],
    ['get_apic_addr', 184],
    ['get_ioapic_addr', 208],
  ] as const) {
    const [a, b] = [one, other].map((pc) => bytesOf(pc, (pc.cpu.wm.exports[name] as () => number)(), bytes));
    if (a === undefined || b === undefined || !a.equals(b)) found.push(`${name}: ${a?.toString('hex')} and ${b?.toString('hex')}`);
  }
  if (options.devices) compareObjects(one, other, options, found);
  if (!options.memory) return found;
  const { ramPages, videoPages } = one.machine.space;
  const [ram, otherRam] = [one, other].map((pc) => bytesOf(pc, pc.cpu.mem8.byteOffset, ramPages * PAGE_SIZE));
  if (!ram?.equals(otherRam as Uint8Array)) found.push('RAM');
  const [video, otherVideo] = [one, other].map((pc) =>
    bytesOf(pc, pc.cpu.devices.vga.svga_memory.byteOffset, videoPages * PAGE_SIZE - pc.cpu.devices.vga.vga_memory.length),
  );
  if (!video?.equals(otherVideo as Uint8Array)) found.push('video memory');
  return found;
}

function bytesOf(pc: TwinPc, at: number, length: number): Buffer {
  return Buffer.from(pc.cpu.wasm_memory.buffer, at >>> 0, length);
}

/** The bytes of a transfer that is over are not saved. */
const DRIVE_DATA = /^data(?:16|32)?$/;

function compareObjects(one: TwinPc, other: TwinPc, options: CompareOptions, found: string[]): void {
  const [left, right] = [objectsOf(one.cpu), objectsOf(other.cpu)];
  const known = new Set(left.map(({ object }) => object));
  for (const [index, { name, kind, object }] of left.entries()) {
    const twin = right[index]?.object;
    if (kind === 'drive')
      compareValues(transferAtHand(object as unknown as V86Drive), transferAtHand(twin as unknown as V86Drive), `${name}.data`, found, known);
    for (const field of new Set([...Object.keys(object), ...Object.keys(twin ?? {})])) {
      const value = object[field];
      // The CPU's views of its registers look like functions; they are compared as memory.
      if (typeof value === 'function' || (kind === 'cpu' && typeof value === 'object' && field !== 'fw_value')) continue;
      if (kind === 'drive' && DRIVE_DATA.test(field)) continue;
      // The disk's blocks are compared as pages; ports hold functions.
      if ((kind === 'drive' && field === 'buffer') || kind === 'io') continue;
      if (known.has(value as V86Object['object']) || options.mayDiffer(`${kind}.${field}`)) continue;
      compareValues(value, twin?.[field], `${name}.${field}`, found, known);
    }
  }
}

/** `known`: objects that are compared by themselves. */
function compareValues(one: unknown, other: unknown, path: string, found: string[], known: ReadonlySet<unknown>): void {
  // What v86 never set comes back as null.
  if (Object.is(one ?? false, other ?? false) || typeof one === 'function' || known.has(one)) return;
  if (ArrayBuffer.isView(one) && ArrayBuffer.isView(other)) {
    const [a, b] = [one, other].map((view) => Buffer.from(view.buffer, view.byteOffset, view.byteLength));
    if (!a?.equals(b as Buffer)) found.push(`${path}: ${shown(one)} and ${shown(other)}`);
  } else if (isByteQueue(one) && isByteQueue(other)) compareValues(content(one), content(other), path, found, known);
  else if (one !== null && other !== null && typeof one === 'object' && typeof other === 'object') {
    for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
      compareValues((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name], `${path}.${name}`, found, known);
    }
  } else found.push(`${path}: ${shown(one)} and ${shown(other)}`);
}

/** v86's queues and the bridge's: their content shows only when it is taken out. */
function isByteQueue(value: unknown): value is Ps2QueueLike {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['push', 'shift', 'clear'].every((method) => typeof (value as Record<string, unknown>)[method] === 'function')
  );
}

function content(queue: Ps2QueueLike): number[] {
  const bytes = Array.from({ length: queue.length }, () => queue.shift());
  for (const byte of bytes) queue.push(byte);
  return bytes;
}

function shown(value: unknown): string {
  return ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, Math.min(48, value.byteLength)).toString('hex') : String(value);
}
