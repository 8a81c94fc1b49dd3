/** Where the milliseconds of a pause go: both sides measure their part of it, each on its own clock. */

/** What the source measured, in order, in milliseconds of the source's clock; null: it did not get that far. */
export interface SourceTimes {
  /** The CPU was told to stop. */
  readonly askedAt: number;
  readonly stoppedAt: number;
  readonly diskDrainedAt: number;
  /** The last pages were collected and began to be sent; saving the devices came next. */
  readonly pagesFlowAt: number | null;
  /** Pages and devices were handed to the link, and the target was told that it has everything. */
  readonly lastSentAt: number | null;
}

/** Durations that the target measured, in milliseconds. */
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
  /** The last pages and the devices in flight, until they are applied. */
  readonly transfer: number;
  // Then, at the target: restoring the devices; comparing all memory (only with `verify`); the relay's answer that the
  // VM belongs to the target, which the relay gives only after the source's message; starting the CPU.
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
 * The parts of a pause that ended at `runsSince` on the source's clock. The transfer is what the other parts leave of
 * it, and at least 0, however exact the clock offset is. Null if a side did not measure its part.
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
