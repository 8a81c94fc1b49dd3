import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SeededRandom } from '../migration/testing/seeded-random.ts';
import { FULL, QUICK } from '../shared/testing/full.ts';
import { CURES } from './testing/room-cures.ts';
import { RoomSchedule } from './testing/room-schedule.ts';

const SCHEDULES = QUICK ? 500 : FULL ? 20_000 : 5000;
/** A missing cure must be noticed within this many schedules. */
const SEARCHED = 400;
/** Runs only the schedule with this seed, to debug it. */
const ONLY = process.env['TABMOTION_SEED'];

/** Random values inside a tab also come from the seed. Math.random is not a vitest spy: a spy would record millions of calls. */
function drawBy(seed: number): void {
  const random = new SeededRandom(seed);
  Math.random = () => random.next();
  vi.stubGlobal('crypto', {
    getRandomValues: (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length; at++) bytes[at] = random.below(256);
      return bytes;
    },
  });
}

/** What is wrong at the end of a schedule, with its story; null if nothing is. */
async function fault(seed: number): Promise<string | null> {
  drawBy(seed);
  const schedule = new RoomSchedule(seed);
  await schedule.run();
  const faults = await schedule.faults();
  if (ONLY !== undefined) console.log(schedule.room.world.trace.join('\n'));
  return faults.length === 0 ? null : `Seed ${seed}: ${faults.join('\n')}\n${schedule.told.join('\n')}`;
}

describe('a room in which everything may go wrong', () => {
  const { random } = Math;
  const { warn } = console;
  beforeEach(() => {
    // The tabs' logs.
    console.warn = () => undefined;
  });
  afterEach(() => {
    Math.random = random;
    console.warn = warn;
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it(`ends in one true story, told by every tab: ${SCHEDULES} schedules`, { timeout: 3_600_000 }, async () => {
    const [first, last] = ONLY === undefined ? [1, SCHEDULES] : [Number(ONLY), Number(ONLY)];
    for (let seed = first; seed <= last; seed++) expect(await fault(seed)).toBe(null);
  });

  it.each(Object.keys(CURES))('would not without this: %s', { timeout: 600_000 }, async (cure) => {
    CURES[cure]?.();
    for (let seed = 1; seed <= SEARCHED; seed++) if ((await fault(seed).catch(String)) !== null) return;
    expect.fail(`${SEARCHED} schedules went well without it`);
  });
});
