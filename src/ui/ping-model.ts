/** The last minute of one VM's pings, as the strip draws it. */
import type { PingSample } from '../host/scripting-interface.ts';

export const PING_WINDOW_MS = 60_000;
/** Enough for a ping every 10 ms over the whole window; beyond that the oldest are dropped. */
const MAX_SAMPLES = 6_000;
/** The strip's scale never magnifies below this, so that a quiet network looks quiet. */
const SMALLEST_SCALE_MS = 10;
/** A guest that has just started has no network yet: pings unanswered before its first answer do not count as lost, but only for this long. */
const START_GRACE_MS = 15_000;

/** One bar: the slowest answer in its slice of time, and how many pings got no answer. Null: no ping in that time. */
export interface PingBar {
  readonly worstMs: number | null;
  readonly lost: number;
}

export interface PingSummary {
  readonly lastMs: number | null;
  readonly medianMs: number | null;
  readonly worstMs: number | null;
  readonly answered: number;
  readonly lost: number;
}

export class PingHistory {
  private samples: { readonly at: number; readonly rttMs: number | null }[] = [];
  private firstAt: number | null = null;
  private firstAnsweredSeq: number | null = null;

  /** `at`: when the sample was heard, monotonic milliseconds. */
  add({ seq, rttMs }: Pick<PingSample, 'seq' | 'rttMs'>, at: number): void {
    this.firstAt ??= at;
    if (rttMs !== null) this.firstAnsweredSeq ??= seq;
    // A loss is reported late, so it may arrive after the first answer although its ping is older.
    else if (at - this.firstAt < START_GRACE_MS && seq < (this.firstAnsweredSeq ?? Infinity)) return;
    this.samples.push({ at, rttMs });
    if (this.samples.length > MAX_SAMPLES) this.samples.splice(0, this.samples.length - MAX_SAMPLES);
  }

  /** `count` bars over the window that ends at `now`, oldest first. Slices are fixed in time, so bars do not flicker. */
  bars(now: number, count: number): (PingBar | null)[] {
    const slice = PING_WINDOW_MS / count;
    const last = Math.floor(now / slice);
    const bars: (PingBar | null)[] = new Array<PingBar | null>(count).fill(null);
    for (const { at, rttMs } of this.samples) {
      const index = count - 1 - (last - Math.floor(at / slice));
      if (index < 0 || index >= count) continue;
      const bar = bars[index] ?? { worstMs: null, lost: 0 };
      bars[index] = rttMs === null ? { worstMs: bar.worstMs, lost: bar.lost + 1 } : { worstMs: Math.max(bar.worstMs ?? 0, rttMs), lost: bar.lost };
    }
    return bars;
  }

  summary(now: number): PingSummary {
    this.samples = this.samples.filter(({ at }) => at > now - PING_WINDOW_MS);
    const answered = this.samples.flatMap(({ rttMs }) => (rttMs === null ? [] : [rttMs]));
    const sorted = answered.toSorted((a, b) => a - b);
    return {
      lastMs: this.samples.at(-1)?.rttMs ?? null,
      medianMs: sorted[sorted.length >> 1] ?? null,
      worstMs: sorted.at(-1) ?? null,
      answered: answered.length,
      lost: this.samples.length - answered.length,
    };
  }
}

/** The value at the strip's upper edge: the worst visible value, rounded up to 1, 2 or 5 of its decade. */
export function pingScale(worstMs: number | null): number {
  const needed = Math.max(SMALLEST_SCALE_MS, worstMs ?? 0);
  const decade = 10 ** Math.floor(Math.log10(needed));
  const step = [1, 2, 5, 10].find((factor) => factor * decade >= needed) ?? 10;
  return step * decade;
}

/** The ping histories of all VMs. */
export class PingHistories {
  private readonly histories = new Map<string, PingHistory>();

  of(vmId: string): PingHistory {
    const known = this.histories.get(vmId);
    if (known !== undefined) return known;
    const made = new PingHistory();
    this.histories.set(vmId, made);
    return made;
  }

  /** Forgets the histories of all other VMs. */
  keep(vms: readonly { readonly id: string }[]): void {
    const known = new Set(vms.map((vm) => vm.id));
    for (const id of this.histories.keys()) if (!known.has(id)) this.histories.delete(id);
  }
}
