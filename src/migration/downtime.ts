/** Where the milliseconds of a pause go: both sides measure their part of it, each on its own clock. */

/** What the source measured, in order; the source's clock, milliseconds; null: not come to. */
export interface SourceTimes {
  /** The CPU was told to stop. */
  readonly askedAt: number;
  readonly stoppedAt: number;
  readonly diskDrainedAt: number;
  /** The last pages were found and began to flow, and the devices were saved next. */
  readonly pagesFlowAt: number | null;
  /** All of it was handed to the link, and the target was told that it has everything. */
  readonly lastSentAt: number | null;
}

/** What the target measured: how long, in milliseconds. */
export interface TargetTook {
  readonly restore: number;
  readonly verify: number;
  readonly commit: number;
  readonly run: number;
}

/** The parts of a pause in their order, in milliseconds. */
export interface Downtime extends TargetTook {
  /** Until the CPU has ended what it was doing. */
  readonly stop: number;
  /** Disk reads under way. */
  readonly drain: number;
  /** Finding the last dirty pages. */
  readonly lastPages: number;
  /** Saving the devices, and giving them and the last pages to the link. */
  readonly devices: number;
  /** The last pages and the devices on their way, until they are applied. */
  readonly transfer: number;
  // Then, at the target: restoring the devices; comparing all memory (only with `verify`); the relay's word that the VM
  // is the target's, which waits for the source's word to it; starting the CPU.
}

/** The names of the parts, in order. */
export const DOWNTIME_PARTS = [
  'stop',
  'drain',
  'lastPages',
  'devices',
  'transfer',
  'restore',
  'verify',
  'commit',
  'run',
] as const satisfies readonly (keyof Downtime)[];

/**
 * The parts of a pause that ended at `runsSince` on the source's clock. The way is what the other parts leave of it: not
 * less than nothing, however well the two clocks were compared. Null if a side did not measure its part.
 */
export function downtimeOf(source: SourceTimes, took: TargetTook | null, runsSince: number): Downtime | null {
  const { askedAt, stoppedAt, diskDrainedAt, pagesFlowAt, lastSentAt } = source;
  if (pagesFlowAt === null || lastSentAt === null || took === null) return null;
  const atTarget = took.restore + took.verify + took.commit + took.run;
  return {
    stop: stoppedAt - askedAt,
    drain: diskDrainedAt - stoppedAt,
    lastPages: pagesFlowAt - diskDrainedAt,
    devices: lastSentAt - pagesFlowAt,
    transfer: Math.max(0, runsSince - lastSentAt - atTarget),
    restore: took.restore,
    verify: took.verify,
    commit: took.commit,
    run: took.run,
  };
}

/** Milliseconds. */
export function totalOf(downtime: Downtime): number {
  return DOWNTIME_PARTS.reduce((sum, part) => sum + downtime[part], 0);
}
