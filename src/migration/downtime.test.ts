import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DOWNTIME_PARTS, downtimeOf, totalOf, type SourceTimes } from './downtime.ts';

const SOURCE = { askedAt: 100, stoppedAt: 102, diskDrainedAt: 103, pagesFlowAt: 106, lastSentAt: 110 } satisfies SourceTimes;
const TOOK = { restore: 4, verify: 0, commit: 3, run: 1 };

it('has a part for each millisecond of the pause (MG35)', () => {
  expect(downtimeOf(SOURCE, TOOK, 130)).toEqual({
    stop: 2,
    drain: 1,
    lastPages: 3,
    devices: 4,
    transfer: 12,
    restore: 4,
    verify: 0,
    commit: 3,
    run: 1,
  });
});

it('adds up to the pause, however well the clocks were compared, and no part is less than nothing (MG35)', () => {
  const ms = fc.double({ min: 0, max: 1e5, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(ms, { minLength: 5, maxLength: 5 }),
      fc.record({ restore: ms, verify: ms, commit: ms, run: ms }),
      fc.double({ min: -1e5, max: 2e5, noNaN: true }),
      (steps, took, later) => {
        let at = 0;
        const [askedAt, stoppedAt, diskDrainedAt, pagesFlowAt, lastSentAt] = steps.map((step) => (at += step)) as [number, number, number, number, number];
        const runsSince = askedAt + later;
        const downtime = downtimeOf({ askedAt, stoppedAt, diskDrainedAt, pagesFlowAt, lastSentAt }, took, runsSince)!;
        for (const part of DOWNTIME_PARTS) expect(downtime[part]).toBeGreaterThanOrEqual(0);
        const measured = lastSentAt - askedAt + took.restore + took.verify + took.commit + took.run;
        expect(totalOf(downtime)).toBeCloseTo(Math.max(measured, later), 3);
      },
    ),
  );
});

it('is not guessed if a side did not measure its part (MG35)', () => {
  expect(downtimeOf(SOURCE, null, 130)).toBe(null);
  for (const missing of ['pagesFlowAt', 'lastSentAt'] as const) expect(downtimeOf({ ...SOURCE, [missing]: null }, TOOK, 130)).toBe(null);
});
