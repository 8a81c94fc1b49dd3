import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MigrationPhase } from '../migration/report.ts';
import { canCancel, pauseWords, progressFraction, stepOf, STEPS } from './progress-model.ts';

const PHASES: readonly MigrationPhase[] = ['offer', 'prepare', 'rounds', 'hold', 'switchover', 'commit', 'done'];

describe('the expected pause', () => {
  it('names what the distance costs of it, where that is worth a word', () => {
    expect(pauseWords({ expectedPauseMs: 0, distanceMs: 100 })).toBe('–');
    expect(pauseWords({ expectedPauseMs: 31 })).toBe('31 ms');
    expect(pauseWords({ expectedPauseMs: 31, distanceMs: 3 })).toBe('31 ms');
    expect(pauseWords({ expectedPauseMs: 410, distanceMs: 375 })).toBe('410 ms, 375 ms for the distance');
  });
});

describe('the progress bar', () => {
  it('claims nothing while nothing can be counted', () => {
    expect(progressFraction({ phase: 'offer', pagesSent: 0, pagesLeft: 500 })).toBeNull();
    expect(progressFraction({ phase: 'prepare', pagesSent: 0, pagesLeft: 500 })).toBeNull();
    expect(progressFraction({ phase: 'rounds', pagesSent: 0, pagesLeft: 0 })).toBeNull();
  });

  it('shows the share of the pages known so far, and goes back when the guest adds some', () => {
    expect(progressFraction({ phase: 'rounds', pagesSent: 300, pagesLeft: 100 })).toBe(0.75);
    expect(progressFraction({ phase: 'rounds', pagesSent: 300, pagesLeft: 300 })).toBe(0.5);
  });

  it('is full only when the VM runs on the target', () => {
    fc.assert(
      fc.property(fc.constantFrom(...PHASES), fc.nat(), fc.nat(), (phase, pagesSent, pagesLeft) => {
        const fraction = progressFraction({ phase, pagesSent, pagesLeft });
        if (phase === 'done') expect(fraction).toBe(1);
        else if (fraction !== null) {
          expect(fraction).toBeGreaterThanOrEqual(0);
          expect(fraction).toBeLessThan(1);
        }
      }),
    );
  });

  it('goes through its steps in order, and Cancel ends where the commit begins', () => {
    const steps = PHASES.map(stepOf);
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
    expect(steps.at(-1)).toBe(STEPS.length - 1);
    expect(PHASES.filter((phase) => !canCancel(phase))).toEqual(['commit', 'done']);
  });
});
