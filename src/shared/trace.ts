/**
 * What happened inside, step by step: the states that a machine passed through, the changes of a lease, who came and
 * went. The last of it is kept, for a report of a fault, and can be listened to.
 */
import type { Clock } from './clock.ts';
import { Emitter } from './emitter.ts';

export interface TraceEntry {
  /** Milliseconds of the clock of whoever keeps the trace. */
  readonly at: number;
  /** What it happened to: a VM's name, a room. */
  readonly subject: string;
  /** What happened, in the names of PROTOCOL.md. */
  readonly step: string;
}

/** A trace as it is at one moment. */
export interface TraceAt {
  /** That moment, in milliseconds of the same clock. */
  readonly now: number;
  /** Oldest first, as far as they are kept. */
  readonly entries: readonly TraceEntry[];
}

/** Adds an entry. */
export type Note = (subject: string, step: string) => void;

export class Trace {
  readonly noted = new Emitter<TraceEntry>();
  private readonly clock: Pick<Clock, 'now'>;
  private readonly capacity: number;
  private readonly ring: TraceEntry[] = [];
  /** Where the oldest is once the ring is full. */
  private oldest = 0;

  /** Keeps the last `capacity` entries. */
  constructor(clock: Pick<Clock, 'now'>, capacity: number) {
    this.clock = clock;
    this.capacity = capacity;
  }

  readonly note: Note = (subject, step) => {
    const entry: TraceEntry = { at: this.clock.now(), subject, step };
    if (this.ring.length < this.capacity) {
      this.ring.push(entry);
    } else {
      this.ring[this.oldest] = entry;
      this.oldest = (this.oldest + 1) % this.capacity;
    }
    this.noted.emit(entry);
  };

  asItIs(): TraceAt {
    return { now: this.clock.now(), entries: [...this.ring.slice(this.oldest), ...this.ring.slice(0, this.oldest)] };
  }
}
