/** What the progress bar may claim. */
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
