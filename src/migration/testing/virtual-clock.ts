import { disposable, type Disposable } from '../../shared/disposable.ts';
import type { Clock } from '../../shared/clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time that passes only when the test says so. */
export class VirtualClock implements Clock {
  private time: number;
  private timers: Timer[] = [];
  private order = 0;

  constructor(start = 1000) {
    this.time = start;
  }

  now(): number {
    return this.time;
  }

  setTimeout(callback: () => void, ms: number): Disposable {
    const timer: Timer = { at: this.time + Math.max(0, ms), order: this.order++, callback };
    this.timers.push(timer);
    return disposable(() => {
      this.timers = this.timers.filter((other) => other !== timer);
    });
  }

  /** Timers not yet fired. */
  get pending(): number {
    return this.timers.length;
  }

  /** When the next timer is due; null if there is none. */
  get nextAt(): number | null {
    return this.first()?.at ?? null;
  }

  /** Lets time pass without firing anything, up to the next timer at most. */
  pass(ms: number): void {
    this.time = Math.min(this.time + ms, this.nextAt ?? Number.POSITIVE_INFINITY);
  }

  /** Goes to the next timer and fires it; false if there is none. */
  fireNext(): boolean {
    const timer = this.first();
    if (timer === undefined) return false;
    this.timers = this.timers.filter((other) => other !== timer);
    this.time = Math.max(this.time, timer.at);
    timer.callback();
    return true;
  }

  private first(): Timer | undefined {
    return this.timers.reduce<Timer | undefined>(
      (first, timer) => (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order) ? timer : first),
      undefined,
    );
  }
}

/** Another reading of the same clock: `offsetMs` ahead, as another host's clock is. */
export function shiftedClock(clock: Clock, offsetMs: number): Clock {
  return {
    now: () => clock.now() + offsetMs,
    setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
  };
}
