import { describe, expect, it } from 'vitest';
import { FULL } from '../shared/testing/full.ts';
import { DEFAULT_FIXED_PAUSE_MS } from './limits.ts';
import type { Write } from './testing/model-vm.ts';
import { travel, WORKED_WORDS, type Distance, type Journey } from './testing/distance.ts';

/** The kernel's own writes: some pages every tick. */
const kernel = (ms: number): Write[] =>
  ms % 4 === 0
    ? [
        { page: 1 + (ms % 9), words: WORKED_WORDS },
        { page: 10, words: WORKED_WORDS },
      ]
    : [];
const GUESTS: Readonly<Record<string, (ms: number) => readonly Write[]>> = {
  'an idle guest': kernel,
  'a ticker': (ms) => [...kernel(ms), ...(ms % 100 === 0 ? range(20, 50).map((page) => ({ page, words: WORKED_WORDS })) : [])],
  // One word in so many pages a second: pages that compress to next to nothing.
  'dirty 16 1000': (ms) => [...kernel(ms), { page: 1600 + (ms % 4096), words: 1 }],
};
/** What is counted for work that takes no time in the model. */
const FIXED_MS = DEFAULT_FIXED_PAUSE_MS;
const LOSSY_RUNS = FULL ? 20 : 3;
const FAST = 20_000_000;
const WAYS: readonly (Distance & { readonly name: string })[] = [
  ...[0.5, 20, 50, 100, 150].map((roundTripMs) => ({ name: `a round trip of ${roundTripMs} ms`, roundTripMs, bytesPerSecond: FAST })),
  { name: 'a round trip of 50 ms and 1 % loss', roundTripMs: 50, bytesPerSecond: FAST, loss: 0.01 },
];

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

const figures = ({ report, log, expectedPauseMs, leastCpu }: Journey): string =>
  `${report.outcome} ${report.reason ?? ''} after ${report.rounds.length} rounds and ${Math.round(report.totalMs)} ms; pause ${Math.round(report.pauseMs)} ms, expected ${expectedPauseMs}; CPU ${leastCpu}; ${log.join(' ')}`;

describe('A migration over a distance', () => {
  for (const way of WAYS) {
    for (const [guest, writes] of Object.entries(GUESTS)) {
      it(`moves ${guest} over ${way.name} with the default options (MG15)`, async () => {
        for (let seed = 1; seed <= (way.loss === undefined ? 1 : LOSSY_RUNS); seed++) {
          const journey = await travel({ ...way, writes, seed });
          expect(journey.report.outcome, figures(journey)).toBe('completed');
          if (way.loss !== undefined) continue;
          // Without losses, only the time of the models' own work is unknown.
          expect(journey.leastCpu, figures(journey)).toBe(1);
          expect(journey.report.rounds.length, figures(journey)).toBeLessThan(12);
          expect(Math.abs(journey.expectedPauseMs - FIXED_MS - journey.report.pauseMs), figures(journey)).toBeLessThan(15);
        }
      });
    }
  }

  it('keeps the pause of a slow link within the limit, the devices and the hold included (MG15)', async () => {
    for (const seed of [1, 2, 3]) {
      const journey = await travel({ roundTripMs: 2, bytesPerSecond: 400_000, writes: GUESTS['an idle guest']!, seed });
      expect(journey.report.outcome, figures(journey)).toBe('completed');
      expect(journey.report.pauseMs, figures(journey)).toBeLessThan(100 - FIXED_MS + 10);
    }
  });
});
