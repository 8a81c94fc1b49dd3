import type { Clock } from '../../../shared/clock.ts';
import type { Disposable } from '../../../shared/disposable.ts';

/**
 * A timer for deadlines that mostly move later: it is set again only when a deadline moves closer. It may therefore
 * fire early; the callback checks the deadlines and arms it again.
 */
export class LazyTimer implements Disposable {
  private readonly clock: Clock;
  private readonly fire: () => void;
  private armed: { readonly at: number; readonly timer: Disposable } | null = null;

  constructor(clock: Clock, fire: () => void) {
    this.clock = clock;
    this.fire = fire;
  }

  /** Fires no later than `at`. */
  noLaterThan(at: number): void {
    if (this.armed !== null && this.armed.at <= at) return;
    this.armed?.timer.dispose();
    const timer = this.clock.setTimeout(
      () => {
        this.armed = null;
        this.fire();
      },
      Math.max(0, at - this.clock.now()),
    );
    this.armed = { at, timer };
  }

  dispose(): void {
    this.armed?.timer.dispose();
    this.armed = null;
  }
}
