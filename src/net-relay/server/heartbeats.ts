/**
 * One beat per second for everything that is open, a few at a time: a heartbeat costs as much as several messages, and
 * hundreds in one go would be noticed in every room. A beat counts once, however late it is.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';

export const HEARTBEAT_MS = 1000;
/** Heartbeats in one go: some 2 ms. */
export const BEATEN_AT_ONCE = 30;

export interface Beaten<Item> {
  /** All that are open now. */
  readonly open: () => Iterable<Item>;
  readonly beat: (item: Item) => void;
  /** Called once in each beat, after its first items. */
  readonly besides: () => void;
}

export class Heartbeats<Item> implements Disposable {
  private readonly clock: Clock;
  private readonly beaten: Beaten<Item>;
  /** The items of this beat that are not beaten yet. */
  private left: Item[] = [];
  private distanceMs = HEARTBEAT_MS;
  private timer: Disposable;
  private isOver = false;

  constructor(clock: Clock, beaten: Beaten<Item>) {
    this.clock = clock;
    this.beaten = beaten;
    this.timer = this.next();
  }

  dispose(): void {
    this.isOver = true;
    this.left = [];
    this.timer.dispose();
  }

  private next(): Disposable {
    return this.clock.setTimeout(() => {
      const begins = this.left.length === 0;
      if (begins) {
        this.left = [...this.beaten.open()];
        this.distanceMs = HEARTBEAT_MS / Math.max(1, Math.ceil(this.left.length / BEATEN_AT_ONCE));
      }
      try {
        for (const item of this.left.splice(0, BEATEN_AT_ONCE)) this.beaten.beat(item);
        if (begins) this.beaten.besides();
      } finally {
        if (!this.isOver) this.timer = this.next();
      }
    }, this.distanceMs);
  }
}
