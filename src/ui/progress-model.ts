/** What the progress bar may claim. */
import { formatMs } from './format.ts';
import type { MigrationPhase, MigrationProgress } from '../migration/report.ts';

/** The four steps drawn under the bar, in order. */
export const STEPS = ['Prepare', 'Copy', 'Hand over', 'Runs there'] as const;

/** The bar is full only when the VM runs on the target; until then it stops short of the end. */
const ALMOST = 0.99;

/**
 * Share of the work known so far that is done, 0..1, or null while nothing can be counted (the bar then only shows
 * that something happens). A guest that keeps writing adds work, so the share may fall; the bar shows that honestly.
 */
export function progressFraction(progress: Pick<MigrationProgress, 'phase' | 'pagesSent' | 'pagesLeft'>): number | null {
  switch (progress.phase) {
    case 'offer':
    case 'prepare':
      return null;
    case 'done':
      return 1;
    case 'rounds':
    case 'hold':
    case 'switchover':
    case 'commit': {
      const sent = Math.max(0, progress.pagesSent);
      const left = Math.max(0, progress.pagesLeft);
      if (sent + left === 0) return null;
      return Math.min(ALMOST, sent / (sent + left));
    }
  }
}

/** A distance that costs less is not worth a word. */
const NOTABLE_DISTANCE_MS = 10;

/** The expected pause, and the part of it that waiting does not shorten. */
export function pauseWords({ expectedPauseMs, distanceMs = 0 }: Pick<MigrationProgress, 'expectedPauseMs' | 'distanceMs'>): string {
  if (expectedPauseMs <= 0) return '–';
  const whole = formatMs(expectedPauseMs);
  return distanceMs < NOTABLE_DISTANCE_MS ? whole : `${whole}, ${formatMs(distanceMs)} for the distance`;
}

/** Index into STEPS. */
export function stepOf(phase: MigrationPhase): number {
  switch (phase) {
    case 'offer':
    case 'prepare':
      return 0;
    case 'rounds':
      return 1;
    case 'hold':
    case 'switchover':
    case 'commit':
      return 2;
    case 'done':
      return 3;
  }
}

/** Once a commit may be on its way, a cancel comes too late. */
export function canCancel(phase: MigrationPhase): boolean {
  return phase !== 'commit' && phase !== 'done';
}
