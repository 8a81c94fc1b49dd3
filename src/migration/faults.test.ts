import { describe, expect, it } from 'vitest';
import { FAULTS, type Fault } from './testing/faults.ts';
import { Invariants } from './testing/invariants.ts';
import { Rehearsal } from './testing/rehearsal.ts';
import { FULL } from '../shared/testing/full.ts';
import type { SenderState } from './sender-states.ts';

const SENDER_STATES: readonly SenderState['name'][] = [
  'offering',
  'preparing',
  'copying',
  'reconnecting',
  'holding',
  'stopping',
  'handing-over',
  'committing',
  'aborting',
  'confirming',
  'withdrawing',
];

/** One migration in which `fault` strikes a few steps after the source entered `state`; the world runs on until all is quiet. */
async function rehearse(seed: number, fault: Fault, state: SenderState['name'], delay: number, reconnects: boolean): Promise<Rehearsal> {
  const rehearsal = new Rehearsal({ seed, reconnects, verify: seed % 3 === 0 });
  const invariants = new Invariants(rehearsal);
  let countdown: number | null = null;
  const each = (): void => {
    if (countdown === null && rehearsal.sender.state() === state) countdown = delay;
    if (countdown !== null && countdown-- === 0) {
      rehearsal.world.note(`fault: ${fault.name}`);
      fault.strike(rehearsal);
    }
    invariants.step();
  };
  await end(rehearsal, invariants, each);
  return rehearsal;
}

/** Lets the migration end and whatever is late arrive. */
async function end(rehearsal: Rehearsal, invariants: Invariants, each: () => void): Promise<void> {
  await rehearsal.finish(each);
  await rehearsal.world.run(() => false, each, 150);
  invariants.end();
}

/** One migration in which several faults strike, each after a random number of steps. */
async function rehearseSeveral(seed: number): Promise<Rehearsal> {
  const rehearsal = new Rehearsal({ seed, reconnects: seed % 2 === 0, verify: seed % 5 === 0, writesPerStep: seed % 4 });
  const invariants = new Invariants(rehearsal);
  const { random } = rehearsal.world;
  const plan = Array.from({ length: 1 + random.below(3) }, () => ({ fault: random.pick(FAULTS), at: random.below(140) }));
  let steps = 0;
  const each = (): void => {
    for (const { fault, at } of plan) {
      if (at !== steps) continue;
      rehearsal.world.note(`fault: ${fault.name}`);
      fault.strike(rehearsal);
    }
    steps++;
    invariants.step();
  };
  await end(rehearsal, invariants, each);
  return rehearsal;
}

/** Steps between entering the state and the fault. */
const DELAYS = FULL ? [0, 1, 2, 3, 5, 8] : [0, 2];

describe('Whatever fails in a migration', () => {
  for (const fault of FAULTS) {
    it(`the VM runs exactly once and both sides end with a reason: ${fault.name}`, async () => {
      let seed = 1;
      for (const state of SENDER_STATES) {
        for (const delay of DELAYS) {
          const rehearsal = await rehearse(seed, fault, state, delay, seed % 2 === 0);
          expect(rehearsal.report ?? rehearsal.end).not.toBeNull();
          seed++;
        }
      }
    });
  }

  it('the VM runs exactly once also when several things fail in one migration', async () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= (FULL ? 6000 : 300); seed++) {
      const { report } = await rehearseSeveral(seed);
      const outcome = report?.cause ?? report?.outcome ?? 'source killed';
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // The schedules are of use only if they end in many ways.
    expect([...outcomes.keys()].length).toBeGreaterThan(10);
  });
});
