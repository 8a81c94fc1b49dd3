/**
 * The server's wall clock, the one wall clock of all hosts, as known here from what the relay sends. The relay sends
 * its clock's reading when it answers a hello and with each heartbeat; after a heartbeat came back, it also sends how
 * long that took. So each reading was taken within a known span of time. We assume the middle of the span, and are
 * wrong by half of it at most. The reading with the smallest possible error counts. Its possible error grows with its
 * age, because two clocks never run at quite the same rate.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';

/** Two computers' clocks drift apart by less than this, in milliseconds per millisecond. */
const DRIFT = 200e-6;
/** The server sends whole milliseconds. */
const RESOLUTION_MS = 1;
/** Heartbeats that may be on their way back at a time; an echo of an older one tells nothing new. */
const BEATS_KEPT = 8;
/** A change of the estimate that is worth reporting: the server's clock was set, or this computer slept. */
const STEP_MS = 20;

interface Estimate {
  /** The server's wall clock minus this side's monotonic one. */
  readonly offsetMs: number;
  /** The offset is wrong by this at most, at the time of the answer. */
  readonly radiusMs: number;
  readonly at: number;
}

/** A heartbeat of the relay, as it arrives. */
export interface TimedHeartbeat {
  /** When it was sent, on a clock of the relay's own. */
  readonly at: number;
  readonly wallMs: number;
  readonly echo: { readonly at: number; readonly rttMs: number } | null;
}

export class ServerTime implements Disposable {
  /** The time has become known for the first time, or the previous estimate was wrong. */
  readonly onSet = new Emitter<undefined>();
  private readonly clock: Clock;
  private beats: readonly { readonly at: number; readonly wallMs: number; readonly heardAt: number }[] = [];
  private best: Estimate | null = null;
  private toldOffsetMs: number | null = null;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The server's wall clock now, in milliseconds since 1970; null until it is known. */
  now(): number | null {
    return this.best === null ? null : this.clock.now() + this.best.offsetMs;
  }

  /** The server's clock showed `wallMs` between `askedAt` and now. */
  answered(askedAt: number, wallMs: number): void {
    const at = this.clock.now();
    // Heartbeats that were under way on a lost connection never come back.
    this.beats = [];
    this.take(wallMs, (askedAt + at) / 2, at - askedAt);
  }

  /** A heartbeat has arrived, and was sent back. */
  beat({ at, wallMs, echo }: TimedHeartbeat): void {
    const echoed = this.beats.find((beat) => beat.at === echo?.at);
    if (echo !== null && echoed !== undefined) this.take(echoed.wallMs, echoed.heardAt - echo.rttMs / 2, echo.rttMs);
    this.beats = [...this.beats.slice(1 - BEATS_KEPT), { at, wallMs, heardAt: this.clock.now() }];
  }

  dispose(): void {
    this.onSet.dispose();
  }

  /** The server's clock showed `wallMs` at `at` on this side's, give or take half of `spanMs`. */
  private take(wallMs: number, at: number, spanMs: number): void {
    if (!(spanMs >= 0)) return;
    const sample: Estimate = { offsetMs: wallMs + RESOLUTION_MS / 2 - at, radiusMs: (spanMs + RESOLUTION_MS) / 2, at };
    const { best } = this;
    if (best !== null) {
      const radiusMs = best.radiusMs + Math.abs(sample.at - best.at) * DRIFT;
      const contradicted = Math.abs(sample.offsetMs - best.offsetMs) > sample.radiusMs + radiusMs;
      if (sample.radiusMs > radiusMs && !contradicted) return;
    }
    this.best = sample;
    if (this.toldOffsetMs !== null && Math.abs(sample.offsetMs - this.toldOffsetMs) < STEP_MS) return;
    this.toldOffsetMs = sample.offsetMs;
    this.onSet.emit(undefined);
  }
}
