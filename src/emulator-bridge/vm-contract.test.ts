/** The emulated PC keeps the same contract as the engine's models. The PCs have no software, and each is busy with something else. */
import { decodeBaseSnapshot } from './base-snapshot.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { describeVmContract, type VmUnderTest } from '../migration/testing/vm-contract.ts';
import { saveBaseSnapshot } from './base-snapshot.ts';
import { createMachine } from './create-machine.ts';
import type { Machine } from './machine.ts';
import { prepareBareMetal, type BareMetal, type BareWorkload } from './testing/bare-metal.ts';
import { loadGuestParts } from './testing/guest-parts.ts';

/** Where each workload writes besides its results in RAM. */
const WORKLOADS = [
  ['registers_and_counters', 'ram'],
  ['planes_and_modes', 'video'],
  ['disk_commands', 'disk'],
] as const satisfies readonly (readonly [BareWorkload, string])[];
/** Enough for each of them to go round several times. */
const INSTRUCTIONS = 300_000;
const A_WHILE_MS = 5;

let made: BareMetal | null = null;
/** Compiled once. */
const bareMetal = (): BareMetal => (made ??= prepareBareMetal(loadGuestParts()?.emulator));

/** A PC that runs this workload, and another one that is still at their common base snapshot. */
async function pair(workload: BareWorkload): Promise<VmUnderTest> {
  const bare = bareMetal();
  const machines: Machine[] = [];
  const fresh = async (): Promise<Machine> => {
    const machine = await createMachine(bare.parts(bare.emulator, workload));
    machines.push(machine);
    return machine;
  };
  const snapshot = await saveBaseSnapshot(await fresh());
  const [source, target] = [await fresh(), await fresh()];
  for (const machine of [source, target]) machine.loadBaseSnapshot(await decodeBaseSnapshot(snapshot));
  const letGuestWrite = async (): Promise<void> => {
    const runs = [source, target].find(({ state }) => state === 'running');
    if (runs === undefined) await sleep(A_WHILE_MS);
    else for (const from = runs.instructionCount(); (runs.instructionCount() - from) >>> 0 < INSTRUCTIONS;) await sleep(1);
  };
  await source.run(0);
  await letGuestWrite();
  return {
    source,
    target,
    letGuestWrite,
    settled: (promise) => promise,
    dispose() {
      for (const machine of machines) machine.discard();
    },
  };
}

it.each(WORKLOADS)('what is busy with %s writes to the %s', async (workload, place) => {
  const vm = await pair(workload);
  const { ramPages, videoPages } = vm.source.space;
  const written = [...vm.source.differsFromBase()];
  const places = new Set(written.map((page) => (page < ramPages ? 'ram' : page < ramPages + videoPages ? 'video' : 'disk')));
  expect([...places]).toEqual(expect.arrayContaining(['ram', place]));
  await vm.dispose();
});

for (const [workload] of WORKLOADS) describeVmContract(`The emulated PC, busy with ${workload.replaceAll('_', ' ')},`, () => pair(workload));
