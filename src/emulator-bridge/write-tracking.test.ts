import { decodeBaseSnapshot } from './base-snapshot.ts';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import binaryen from 'binaryen';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmulatorChangedError, rewriteEmulator } from './build/rewrite-emulator.ts';
import { createMachine } from './create-machine.ts';
import type { Machine } from './machine.ts';
import { GuestConsole } from './testing/guest-console.ts';
import { loadGuestParts, type GuestParts } from './testing/guest-parts.ts';
import { endWorkload, startWorkload, WORKLOADS, type Workload } from './testing/workloads.ts';
import { WriteOracle, type OracleVerdict } from './testing/write-oracle.ts';

const stock = new Uint8Array(readFileSync(createRequire(import.meta.url).resolve('v86/build/v86.wasm')));
const guest = loadGuestParts();
/** Host time until the dirty log is taken again while a workload runs; the oracle must hold for any. */
const INTERVAL_MS = 25;
/** A guest on a busy host may need many times its usual second. */
const WORKLOAD_LIMIT_MS = 300_000;

describe('rewriteEmulator', () => {
  it('gives the same bytes for the same input', () => {
    expect(Buffer.compare(rewriteEmulator(stock), rewriteEmulator(stock))).toBe(0);
  }, 120_000);

  it('refuses what is not WebAssembly', () => {
    expect(() => rewriteEmulator(new Uint8Array(64))).toThrow(EmulatorChangedError);
  });

  /** A module of these functions, with their names. */
  function moduleOf(text: string): Uint8Array {
    binaryen.setDebugInfo(true);
    const module = binaryen.parseText(`(module ${text})`);
    const bytes = module.emitBinary();
    module.dispose();
    binaryen.setDebugInfo(false);
    return bytes;
  }

  const walk = '(func $v86_do_page_walk (param i32 i32 i32 i32 i32) (result i32) (i32.const 0))';
  const dirty = '(func $v86_jit_dirty_page_ctx (param i32 i32))';

  it('refuses functions whose parameters have changed', () => {
    expect(() => rewriteEmulator(moduleOf(`${walk} (func $v86_jit_dirty_page_ctx (param i32))`))).toThrow(/parameters or the result of jit_dirty_page_ctx/);
  });

  it('refuses two functions of one name', () => {
    expect(() => rewriteEmulator(moduleOf(`${walk} ${dirty} (func $other_do_page_walk (param i32 i32 i32 i32 i32) (result i32) (i32.const 1))`))).toThrow(
      /2 functions are called do_page_walk/,
    );
  });

  it('refuses another number of calls, as the compiler may have inlined some', () => {
    expect(() => rewriteEmulator(moduleOf(`${walk} ${dirty}`))).toThrow(/do_page_walk is called from 0 places, not from 580/);
  });

  it('refuses a module without the functions it wraps, by name', () => {
    const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    expect(() => rewriteEmulator(empty)).toThrow(/no function is called do_page_walk/);
  });
});

/** Takes the dirty log while the guest works: from tasks of their own, at any moment. */
async function observe(machine: Machine, work: () => Promise<void>): Promise<OracleVerdict> {
  const oracle = await WriteOracle.start(machine);
  let intervals = Promise.resolve();
  const timer = setInterval(() => void (intervals = intervals.then(() => oracle.nextInterval())), INTERVAL_MS);
  await machine.run(0);
  await work();
  clearInterval(timer);
  await intervals;
  await machine.pause();
  await machine.drainDisk();
  return oracle.judge();
}

async function restored(parts: GuestParts, emulator?: WebAssembly.Module): Promise<{ machine: Machine; console: GuestConsole }> {
  const machine = await createMachine(parts.machineParts(emulator));
  machine.loadBaseSnapshot(await decodeBaseSnapshot(parts.snapshot));
  return { machine, console: new GuestConsole(machine) };
}

describe.skipIf(guest === null)('write tracking, against a copy of all memory', () => {
  let machine: Machine;
  let console: GuestConsole;

  beforeAll(async () => {
    if (guest !== null) ({ machine, console } = await restored(guest));
  });

  afterAll(() => machine.discard());

  it(
    'reports every page that the first seconds after a restore change',
    async () => {
      const verdict = await observe(machine, () => console.begin());
      expect(verdict.missed).toEqual([]);
      expect(verdict.changed).toBeGreaterThan(0);
    },
    WORKLOAD_LIMIT_MS,
  );

  it.each(WORKLOADS.map((workload): [string, Workload] => [workload.title, workload]))(
    'reports every page changed by %s',
    async (_, workload) => {
      let output = '';
      const verdict = await observe(machine, async () => {
        output = await startWorkload(console, workload);
      });
      await machine.run(0);
      await endWorkload(console, workload);
      await machine.pause();
      if (workload.expect !== undefined) expect(output).toMatch(workload.expect);
      expect(verdict.missed).toEqual([]);
      expect(verdict.changed).toBeGreaterThan(0);
    },
    WORKLOAD_LIMIT_MS,
  );
});

describe.skipIf(guest === null)('the oracle', () => {
  // Each function with a workload whose writes only go through it: the program's own stores, and the disk's.
  it.each([
    ['do_page_walk', 'writes ports'],
    ['jit_dirty_page_ctx', 'echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/sda of=/dev/null bs=64k count=256 2>&1'],
  ] as const)(
    'finds pages missed when the wrapper of %s is left out',
    async (leaveOut, command) => {
      if (guest === null) return;
      const emulator = new WebAssembly.Module(rewriteEmulator(stock, { leaveOut }) as Uint8Array<ArrayBuffer>);
      const { machine, console } = await restored(guest, emulator);
      try {
        const workload: Workload = { title: leaveOut, command, ...(command.startsWith('writes') ? { end: '' } : {}) };
        const verdict = await observe(machine, async () => {
          await console.begin();
          await startWorkload(console, workload);
        });
        expect(verdict.missed.length).toBeGreaterThan(50);
      } finally {
        machine.discard();
      }
    },
    WORKLOAD_LIMIT_MS,
  );
});
