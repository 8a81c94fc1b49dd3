import type { Clock } from '../../../shared/clock.ts';
import type { SeededRandom } from '../../../migration/testing/seeded-random.ts';

export interface Impairment {
  /** Probabilities per frame. */
  readonly drop: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly delayMs: number;
  /** How much later a reordered frame comes. */
  readonly reorderMs: number;
}

export const CLEAN: Impairment = { drop: 0, duplicate: 0, reorder: 0, delayMs: 1, reorderMs: 0 };

/** One probability for dropping, duplicating and reordering. */
export function impaired(probability: number): Impairment {
  return { drop: probability, duplicate: probability, reorder: probability, delayMs: 1, reorderMs: 3 };
}

/** One direction of a wire that impairs frames reproducibly. */
export class LossyWire {
  readonly counts = { sent: 0, dropped: 0, duplicated: 0, reordered: 0 };
  impairment: Impairment;
  /** Called with each frame before the wire impairs it. */
  onSent: (frame: Uint8Array) => void = () => undefined;
  private readonly clock: Clock;
  private readonly random: SeededRandom;
  private readonly deliver: (frame: Uint8Array) => void;
  private readonly onTheWay: { readonly frame: Uint8Array; readonly at: number }[] = [];
  private waiting = false;

  constructor(clock: Clock, random: SeededRandom, impairment: Impairment, deliver: (frame: Uint8Array) => void) {
    this.clock = clock;
    this.random = random;
    this.impairment = impairment;
    this.deliver = deliver;
  }

  send(frame: Uint8Array): void {
    this.counts.sent++;
    this.onSent(frame);
    if (this.random.chance(this.impairment.drop)) {
      this.counts.dropped++;
      return;
    }
    this.pass(frame);
    if (this.random.chance(this.impairment.duplicate)) {
      this.counts.duplicated++;
      this.pass(frame);
    }
  }

  private pass(frame: Uint8Array): void {
    const { delayMs, reorder, reorderMs } = this.impairment;
    if (this.random.chance(reorder)) {
      this.counts.reordered++;
      this.clock.setTimeout(() => this.deliver(frame), delayMs + reorderMs);
    } else if (delayMs === 0) {
      this.deliver(frame);
    } else {
      this.onTheWay.push({ frame, at: this.clock.now() + delayMs });
      this.awaitNext();
    }
  }

  /** One timer for all frames that are on the way in order: there may be very many. */
  private awaitNext(): void {
    const next = this.onTheWay[0];
    if (this.waiting || next === undefined) return;
    this.waiting = true;
    this.clock.setTimeout(() => {
      this.waiting = false;
      const now = this.clock.now();
      let count = 1;
      while ((this.onTheWay[count]?.at ?? Number.POSITIVE_INFINITY) <= now) count++;
      for (const { frame } of this.onTheWay.splice(0, count)) this.deliver(frame);
      this.awaitNext();
    }, next.at - this.clock.now());
  }
}
