/**
 * What happened inside, step by step: the states that a state machine went through, the changes of a lease, who joined
 * and left. The latest entries are kept for bug reports; listeners hear each entry as it is added.
 */
import type { Clock } from './clock.ts';
import { Emitter } from './emitter.ts';

export interface TraceEntry {
  /** Milliseconds, by the clock of the process that keeps the trace. */
  readonly at: number;
  /** What it happened to: a VM's name, a room. */
  readonly subject: string;
  /** What happened, in the names of PROTOCOL.md. */
  readonly step: string;
}

/** A snapshot of a trace. */
export interface TraceAt {
  /** When the snapshot was taken, in milliseconds of the same clock. */
  readonly now: number;
  /** The entries that are kept, oldest first. */
  readonly entries: readonly TraceEntry[];
}

/** Adds an entry. */
export type Note = (subject: string, step: string) => void;

export class Trace {
  readonly noted = new Emitter<TraceEntry>();
  private readonly clock: Pick<Clock, 'now'>;
  private readonly capacity: number;
  private readonly ring: TraceEntry[] = [];
  /** Index of the oldest entry once the ring is full. */
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
