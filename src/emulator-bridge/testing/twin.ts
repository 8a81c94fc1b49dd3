/** A PC on a virtual host, and its moved twin; both go on slice by slice, and everything in them is compared. Node only. */
import type { VirtualHost } from './virtual-time.ts';
import { PAGE_SIZE } from '../../shared/page.ts';
import { createMachine } from '../create-machine.ts';
import type { Machine, MachineParts } from '../machine.ts';
import type { V86Cpu } from '../v86-api.ts';

export interface TwinPc {
  readonly host: VirtualHost;
  readonly machine: Machine;
  /** The emulator inside the machine. */
  readonly cpu: V86Cpu;
}

export async function startPc(host: VirtualHost, parts: MachineParts): Promise<TwinPc> {
  const machine = await host.at(() => createMachine(parts, { tasks: host.tasks }));
  return { host, machine, cpu: (machine as unknown as { readonly cpu: V86Cpu }).cpu };
}

/** Runs `slices` tasks of the PC's host. */
export async function runSlices(pc: TwinPc, slices: number): Promise<void> {
  for (let slice = 0; slice < slices; slice++) {
    if (!pc.host.step()) await afterPromises();
    await Promise.resolve();
  }
}

export function afterPromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Copies the source, which is stopped for that, to `target`, which was never started. Both run then. */
export async function moveTo(source: TwinPc, target: TwinPc): Promise<void> {
  await source.host.at(() => source.machine.pause());
  source.host.forgetTasks();
  await source.machine.drainDisk();
  target.host.setLike(source.host);
  const { ramPages, videoPages } = source.machine.space;
  const fixed = Uint32Array.from({ length: ramPages + videoPages }, (_, page) => page);
  const written = source.machine.differsFromBase().toArray().filter((page) => page >= fixed.length);
  for (const pages of [fixed, written]) {
    const data = new Uint8Array(pages.length * PAGE_SIZE);
    source.machine.readPages(pages, data);
    target.machine.writePages(pages, data);
  }
  await target.host.at(async () => target.machine.restoreDevices(await source.host.at(() => source.machine.saveDevices())));
  // The target has no compiled code and no TLB yet; nor has the source, so that both do the same.
  source.cpu.wm.exports.jit_clear_cache_js();
  source.cpu.full_clear_tlb();
  await source.host.at(() => source.machine.resume());
  await target.host.at(() => target.machine.run(0));
}

export interface CompareOptions {
  /** Also RAM and video memory, which takes longer. */
  readonly memory: boolean;
  /** Whether what lies at this path may differ. */
  readonly mayDiffer: (path: string) => boolean;
}

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
  const { cpu } = one;
  for (const [name, bytes] of [['get_pic_addr_master', 13], ['get_pic_addr_slave', 13], ['get_apic_addr', 184], ['get_ioapic_addr', 208]] as const) {
    const [a, b] = [one, other].map((pc) => bytesOf(pc, (pc.cpu.wm.exports[name] as () => number)(), bytes));
    if (a === undefined || b === undefined || !a.equals(b)) found.push(`${name}: ${a?.toString('hex')} and ${b?.toString('hex')}`);
  }
  compareFields(cpu.devices, other.cpu.devices, 'devices', options, found, new Set<unknown>());
  if (!options.memory) return found;
  const { ramPages, videoPages } = one.machine.space;
  const [ram, otherRam] = [one, other].map((pc) => bytesOf(pc, pc.cpu.mem8.byteOffset, ramPages * PAGE_SIZE));
  if (!ram?.equals(otherRam as Uint8Array)) found.push('RAM');
  const [video, otherVideo] = [one, other].map((pc) => bytesOf(pc, pc.cpu.devices.vga.svga_memory.byteOffset, videoPages * PAGE_SIZE - pc.cpu.devices.vga.vga_memory.length));
  if (!video?.equals(otherVideo as Uint8Array)) found.push('video memory');
  return found;
}

function bytesOf(pc: TwinPc, at: number, length: number): Buffer {
  return Buffer.from(pc.cpu.wasm_memory.buffer, at >>> 0, length);
}

function compareFields(one: unknown, other: unknown, path: string, options: CompareOptions, found: string[], seen: Set<unknown>): void {
  // What v86 never set comes back as null.
  if (Object.is(one ?? false, other ?? false) || typeof one === 'function' || options.mayDiffer(path)) return;
  if (ArrayBuffer.isView(one) && ArrayBuffer.isView(other)) {
    const [a, b] = [one, other].map((view) => Buffer.from(view.buffer, view.byteOffset, view.byteLength));
    if (!a?.equals(b as Buffer)) found.push(`${path}: ${shown(one)} and ${shown(other)}`);
    return;
  }
  if (one !== null && other !== null && typeof one === 'object' && typeof other === 'object') {
    if (seen.has(one)) return;
    seen.add(one);
    for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
      compareFields((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name], `${path}.${name}`, options, found, seen);
    }
    return;
  }
  found.push(`${path}: ${shown(one)} and ${shown(other)}`);
}

function shown(value: unknown): string {
  return ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, Math.min(48, value.byteLength)).toString('hex') : String(value);
}
