import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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
/** Host time between two epochs while a workload runs; the oracle must hold for any. */
const EPOCH_MS = 25;
/** A guest on a busy host may need many times its usual second. */
const WORKLOAD_LIMIT_MS = 300_000;

describe('rewriteEmulator', () => {
  it('gives the same bytes for the same input', () => {
    expect(Buffer.compare(rewriteEmulator(stock), rewriteEmulator(stock))).toBe(0);
  }, 120_000);

  it('refuses what is not WebAssembly', () => {
    expect(() => rewriteEmulator(new Uint8Array(64))).toThrow(EmulatorChangedError);
  });

  it('refuses a module without the functions it wraps, by name', () => {
    const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    expect(() => rewriteEmulator(empty)).toThrow(/no function is called do_page_walk/);
  });
});

/** Opens epochs while the guest works: from tasks of their own, at any moment. */
async function observe(machine: Machine, work: () => Promise<void>): Promise<OracleVerdict> {
  const oracle = await WriteOracle.start(machine);
  let epochs = Promise.resolve();
  const timer = setInterval(() => void (epochs = epochs.then(() => oracle.nextEpoch())), EPOCH_MS);
  await machine.run(0);
  await work();
  clearInterval(timer);
  await epochs;
  await machine.pause();
  await machine.drainDisk();
  return oracle.judge();
}

async function restored(parts: GuestParts, emulator?: WebAssembly.Module): Promise<{ machine: Machine; console: GuestConsole }> {
  const machine = await createMachine(parts.machineParts(emulator));
  await machine.loadBaseSnapshot(parts.snapshot);
  return { machine, console: new GuestConsole(machine) };
}

describe.skipIf(guest === null)('write tracking, against a copy of all memory', () => {
  let machine: Machine;
  let console: GuestConsole;

  beforeAll(async () => {
    if (guest !== null) ({ machine, console } = await restored(guest));
  });

  afterAll(() => machine.discard());

  it('reports every page that the first seconds after a restore change', async () => {
    const verdict = await observe(machine, () => console.ready());
    expect(verdict.missed).toEqual([]);
    expect(verdict.changed).toBeGreaterThan(0);
  }, WORKLOAD_LIMIT_MS);

  it.each(WORKLOADS.map((workload): [string, Workload] => [workload.title, workload]))('reports every page changed by %s', async (_, workload) => {
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
  }, WORKLOAD_LIMIT_MS);
});

describe.skipIf(guest === null)('the oracle', () => {
  it.each(['do_page_walk', 'jit_dirty_page_ctx'] as const)('finds pages missed when the wrapper of %s is left out', async (leaveOut) => {
    if (guest === null) return;
    const emulator = new WebAssembly.Module(rewriteEmulator(stock, { leaveOut }) as Uint8Array<ArrayBuffer>);
    const { machine, console } = await restored(guest, emulator);
    try {
      const verdict = await observe(machine, async () => {
        await console.run('sleep 0.3; cat /proc/interrupts');
      });
      expect(verdict.missed.length).toBeGreaterThan(0);
    } finally {
      machine.discard();
    }
  }, WORKLOAD_LIMIT_MS);
});
