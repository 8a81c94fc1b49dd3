import { describe, expect, it } from 'vitest';
import { FAULTS, type Fault } from './testing/faults.ts';
import { Invariants } from './testing/invariants.ts';
import { Rehearsal } from './testing/rehearsal.ts';
import type { SenderState } from './sender-states.ts';

const SENDER_STATES: readonly SenderState['name'][] = [
  'offering', 'preparing', 'copying', 'reconnecting', 'holding', 'stopping', 'handing-over', 'committing', 'aborting', 'confirming', 'withdrawing',
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
  await rehearsal.finish(each);
  await rehearsal.world.run(() => rehearsal.world.clock.now() > 1e9, each, 150);
  invariants.end();
  return rehearsal;
}

/** Steps between entering the state and the fault. */
const DELAYS = process.env['TABMOTION_FULL'] === '1' ? [0, 1, 2, 3, 5, 8] : [0, 2];

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
});
