import type { StepProgress, StepReporter } from './step.ts';

/** A long step reports its progress at most this often. */
const QUIET_MS = 1000;

/** Turns steps into lines: one when a step begins, some while it takes long, one with the time it took. */
export function progressLines(print: (line: string) => void, now: () => number = () => performance.now()): StepReporter {
  let step = '';
  let printedAt = 0;
  let keptSince = 0;
  const flushKept = (): void => {
    if (keptSince > 0) print(`  ${keptSince} finished ${keptSince === 1 ? 'step' : 'steps'} kept`);
    keptSince = 0;
  };
  return (progress: StepProgress) => {
    switch (progress.state) {
      case 'kept':
        keptSince++;
        return;
      case 'done':
        print(`  ${progress.step}: done in ${seconds(progress.ms)}`);
        return;
      case 'working':
        if (progress.step !== step) {
          flushKept();
          step = progress.step;
          printedAt = now();
          return;
        }
        if (now() - printedAt < QUIET_MS) return;
        printedAt = now();
        print(`  ${progress.step}: ${progress.fraction === null ? '' : `${String(Math.floor(progress.fraction * 100)).padStart(3)} %  `}${progress.text}`);
    }
  };
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
