/**
 * The fault machine: migrations by the real engine over the real relay and its real clients, in virtual time, under
 * seeded schedules of crashes, freezes, cuts, late duplicates and cancels (MG23-MG35, NR8-NR17; I1-I5 of PROTOCOL.md).
 */
import { describe, expect, it } from 'vitest';
import { FULL } from '../shared/testing/full.ts';
import { Coverage, reasonAgainst, ROWS } from './testing/fault-machine/coverage.ts';
import { DISTURBANCES } from './testing/fault-machine/disturbances.ts';
import { runSchedule, type Plan } from './testing/fault-machine/fault-machine.ts';

const SCHEDULES = FULL ? 20_000 : 2000;

/** Named trouble in every state, again and again; what is left of the number is trouble of any kind at any time. */
const DIRECTED = ROWS.flatMap((row) => DISTURBANCES
  .filter(({ party, trouble }) => reasonAgainst(row, party, trouble) === null)
  .map((disturbance) => ({ row, disturbance })));
const DIRECTED_TURNS = Math.floor((SCHEDULES * 0.65) / DIRECTED.length);

function planOf(seed: number): Plan {
  const turn = Math.floor((seed - 1) / DIRECTED.length);
  return turn < DIRECTED_TURNS ? { ...DIRECTED[(seed - 1) % DIRECTED.length]!, atOnce: turn % 2 === 0 } : 'random';
}

const BATCHES = 10;

describe('A migration over the real relay, whatever fails', () => {
  const coverage = new Coverage();
  const ends = new Map<string, number>();
  let run = 0;

  for (let batch = 0; batch < BATCHES; batch++) {
    const first = batch * (SCHEDULES / BATCHES) + 1;
    const last = first + SCHEDULES / BATCHES - 1;
    it(`keeps I1 to I5 and leaves nothing over, with seeds ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed++) {
        const { end } = await runSchedule(seed, planOf(seed), coverage);
        ends.set(end, (ends.get(end) ?? 0) + 1);
        run++;
      }
    }, 3_600_000);
  }

  it('was met in every state by every trouble of every party', () => {
    console.log(`${run} schedules, ${ends.size} different ends\n${coverage.table()}`);
    expect(run).toBe(SCHEDULES);
    expect(coverage.errors()).toEqual([]);
    // The schedules are of use only if they end in many ways.
    expect(ends.size).toBeGreaterThan(30);
  });
});
