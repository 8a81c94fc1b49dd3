/** PCs whose BIOS is a workload (bare-metal/), compiled when a test runs. Node only. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rewriteEmulator } from '../build/rewrite-emulator.ts';
import type { MachineParts } from '../machine.ts';
import type { V86Cpu } from '../v86-api.ts';
import { FakeBaseDisk } from './fake-base-disk.ts';

/** In the order of bare-metal/main.c. */
export const BARE_WORKLOADS = [
  'x87_rounding',
  'x87_stack',
  'sse_control',
  'lazy_flags',
  'segment_caches',
  'strings_backwards',
  'timer_interrupts',
  'interrupt_controller',
  'real_time_clock',
  'keyboard_and_mouse',
  'serial_line',
  'text_and_registers',
  'planes_and_modes',
  'disk_commands',
  'disc_drive',
  'paging',
  'long_page_tables',
  'registers_and_counters',
  'user_mode',
  'changing_code',
  'small_devices',
  'media_instructions',
] as const;
export type BareWorkload = (typeof BARE_WORKLOADS)[number];

const SOURCES = fileURLToPath(new URL('.', import.meta.url));
const COMPILE = [
  '-m32',
  '-march=i686',
  '-O1',
  '-ffreestanding',
  '-nostdlib',
  '-static',
  '-fno-pic',
  '-fno-pie',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-fcf-protection=none',
  '-fno-builtin',
  '-mgeneral-regs-only',
];
const LINK = ['-Wl,-m,elf_i386', '-Wl,-T,link.ld', '-Wl,--oformat=binary', '-Wl,--build-id=none', '-Wl,--no-warn-rwx-segments', '-Wl,-e,0'];

/** Where link.ld puts what the test chooses. */
const CHOSEN_AT = 0xffd0;
const BARE_MEMORY_BYTES = 2 * 2 ** 20;
/** Where the workloads write their results: a ring of words, followed by the number of results so far. */
const RESULTS_AT = 0x10_0000;
export const RESULT_WORDS = 0x4000;

/** What is changed in v86.wasm so that it returns to JavaScript after each instruction; each is found exactly once. */
const SMALLEST_SLICES: readonly { readonly what: string; readonly from: readonly number[]; readonly to: readonly number[] }[] = [
  { what: 'the loop that counts 100,003 instructions', from: [0x41, 0xa3, 0x8d, 0x06], to: [0x41, 0x81, 0x80, 0x00] },
  { what: 'the loop that lasts a millisecond', from: [0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x64], to: [0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x64] },
  // The interpreter goes on while (eip before ^ eip after) is below a page's size.
  {
    what: 'the loop of the interpreter',
    from: [0x73, 0x41, 0x80, 0x20, 0x4f, 0x0d, 0x01, 0x02, 0x40],
    to: [0x73, 0x41, 0x81, 0x00, 0x4f, 0x0d, 0x01, 0x02, 0x40],
  },
];

export interface BareMetal {
  /** The emulator of the product. */
  readonly emulator: WebAssembly.Module;
  /** The same, but it returns to JavaScript after each instruction that is interpreted, instead of after some 100,003. */
  readonly fineEmulator: WebAssembly.Module;
  parts(emulator: WebAssembly.Module, workload: BareWorkload, parameter?: number): MachineParts;
}

/** `emulator` is the rewritten v86.wasm; made here if absent, which takes seconds. */
export function prepareBareMetal(emulator?: Uint8Array): BareMetal {
  const rom = new Uint8Array(compile());
  const bytes = emulator ?? rewriteEmulator(readFileSync(createRequire(import.meta.url).resolve('v86/build/v86.wasm')));
  return {
    emulator: new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>),
    fineEmulator: new WebAssembly.Module(inInstructions(bytes) as Uint8Array<ArrayBuffer>),
    parts(emulator, workload, parameter = 0) {
      const bios = rom.slice();
      const chosen = new DataView(bios.buffer, CHOSEN_AT);
      chosen.setUint32(0, BARE_WORKLOADS.indexOf(workload), true);
      chosen.setUint32(4, parameter, true);
      const disk = new FakeBaseDisk(2 ** 20, 65536);
      disk.immediate = true;
      return { emulator, bios, vgaBios: new Uint8Array(32768), memoryBytes: BARE_MEMORY_BYTES, disk };
    },
  };
}

/** The newest results of a workload that writes `perTurn` words per turn: those of the last `turns` complete turns, oldest first. */
export function latestResults(cpu: V86Cpu, perTurn: number, turns: number): number[] {
  const end = resultCount(cpu) - (resultCount(cpu) % perTurn);
  return Array.from({ length: perTurn * turns }, (_, at) => resultWord(cpu, end - perTurn * turns + at));
}

/** How many words the workload has left so far. */
export function resultCount(cpu: V86Cpu): number {
  return ramWord(cpu, RESULTS_AT + RESULT_WORDS * 4);
}

/** One of the last RESULT_WORDS. */
export function resultWord(cpu: V86Cpu, index: number): number {
  return ramWord(cpu, RESULTS_AT + (index % RESULT_WORDS) * 4);
}

function ramWord(cpu: V86Cpu, address: number): number {
  return new DataView(cpu.wasm_memory.buffer).getUint32(cpu.mem8.byteOffset + address, true);
}

function compile(): Buffer {
  return link([...COMPILE, ...LINK, 'start.S', 'main.c', 'cpu-workloads.c', 'device-workloads.c'], join(SOURCES, 'bare-metal'));
}

/** A static Linux program for the guest, of one assembler file beside this one. */
export function compileProgram(source: string): Buffer {
  return link(['-m32', '-static', '-nostdlib', '-Wl,-m,elf_i386,-N,-s,--build-id=none,--no-warn-rwx-segments', source], SOURCES);
}

function link(options: readonly string[], cwd: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'tabmotion-compiled-'));
  try {
    const output = join(folder, 'output');
    execFileSync('gcc', [...options, '-o', output], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function inInstructions(emulator: Uint8Array): Uint8Array {
  const changed = Buffer.from(emulator);
  for (const { what, from, to } of SMALLEST_SLICES) {
    const found = changed.indexOf(Uint8Array.from(from));
    if (found < 0 || changed.indexOf(Uint8Array.from(from), found + 1) >= 0) throw new Error(`In this v86.wasm, ${what} is not where it was.`);
    changed.set(to, found);
  }
  return changed;
}
