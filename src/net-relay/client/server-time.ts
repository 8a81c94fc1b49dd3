/**
 * The server's wall clock, known here by what its relay tells: the one wall clock of all hosts. The relay says what it
 * shows when it answers a hello and with each heartbeat, and after the heartbeat came back, how long that took. So each
 * is known to be from a certain span of time; it is taken for the middle and is wrong by half of it at most. The one
 * that can be least wrong counts, and what it can be wrong by grows with its age, for two clocks never go quite alike.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';

/** Two computers' clocks part by less than this, in milliseconds per millisecond. */
const DRIFT = 200e-6;
/** The server tells whole milliseconds. */
const RESOLUTION_MS = 1;
/** Heartbeats that may be on their way back at a time; an echo of an older one tells nothing new. */
const BEATS_KEPT = 8;
/** A change of the estimate that is worth telling: the server's clock was set, or this computer slept. */
const STEP_MS = 20;

interface Estimate {
  /** The server's wall clock minus this side's monotonic one. */
  readonly offsetMs: number;
  /** The offset is wrong by this at most, at the time of the answer. */
  readonly radiusMs: number;
  readonly at: number;
}

/** The relay's, as it arrives. */
export interface TimedHeartbeat {
  /** When it was sent, on a clock of the relay's own. */
  readonly at: number;
  readonly wallMs: number;
  readonly echo: { readonly at: number; readonly rttMs: number } | null;
}

export class ServerTime implements Disposable {
  /** The time is known for the first time, or what was known of it was wrong. */
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
    // What a connection that was lost had under way comes back no more.
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
