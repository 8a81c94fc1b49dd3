import { disposable, type Disposable } from '../../shared/disposable.ts';
import type { Clock } from '../../shared/clock.ts';

/** Virtual time: nothing happens until advance() is called, and then in the order of the timers' times. */
export class ManualClock implements Clock {
  private time = 0;
  private readonly timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  now(): number {
    return this.time;
  }

  setTimeout(callback: () => void, ms: number): Disposable {
    const timer = { at: this.time + ms, callback };
    this.timers.add(timer);
    return disposable(() => this.timers.delete(timer));
  }

  get pending(): number {
    return this.timers.size;
  }

  /** Lets `ms` pass. After each timer, promises that can settle do so. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settled();
    for (;;) {
      const next = [...this.timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.timers.delete(next);
      this.time = next.at;
      next.callback();
      await settled();
    }
    this.time = end;
    await settled();
  }
}

/** Resolves after every promise that can settle by itself has done so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
