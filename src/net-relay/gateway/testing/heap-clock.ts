import type { Clock } from '../../../shared/clock.ts';
import { disposable, type Disposable } from '../../../shared/disposable.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** Virtual time, as migration/testing/virtual-clock.ts, but quick with the many thousand timers of many connections. */
export class HeapClock implements Clock {
  private time = 1000;
  private order = 0;
  private live = 0;
  private readonly heap: Timer[] = [];

  now(): number {
    return this.time;
  }

  setTimeout(callback: () => void, ms: number): Disposable {
    const timer: Timer = { at: this.time + Math.max(0, ms), order: this.order++, callback, cancelled: false };
    this.live++;
    this.push(timer);
    return disposable(() => {
      if (timer.cancelled) return;
      timer.cancelled = true;
      this.live--;
    });
  }

  /** Timers not yet fired. */
  get pending(): number {
    return this.live;
  }

  /** When the next timer is due; null if there is none. */
  get nextAt(): number | null {
    this.dropCancelled();
    return this.heap[0]?.at ?? null;
  }

  /** Lets time pass without firing anything, up to the next timer at most. */
  pass(ms: number): void {
    this.time = Math.min(this.time + ms, this.nextAt ?? Number.POSITIVE_INFINITY);
  }

  /** Goes to the next timer and fires it; false if there is none. */
  fireNext(): boolean {
    this.dropCancelled();
    const timer = this.pop();
    if (timer === undefined) return false;
    timer.cancelled = true;
    this.live--;
    this.time = Math.max(this.time, timer.at);
    timer.callback();
    return true;
  }

  private dropCancelled(): void {
    while (this.heap[0]?.cancelled === true) this.pop();
  }

  private push(timer: Timer): void {
    const { heap } = this;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(heap[parent]!, timer)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  private pop(): Timer | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (before(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
