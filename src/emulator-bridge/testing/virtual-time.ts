/**
 * A host whose time only advances when it is told to, and whose random numbers are not random, so that a PC does the
 * same in every run. Code run on such a host, and everything it starts, gets these from performance.now(), Date.now()
 * and crypto.getRandomValues(). Import this file before v86, because v86 keeps the function it finds. Node only.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { TaskSource } from '../pacer.ts';

const host = new AsyncLocalStorage<VirtualHost>();
const realMonotonic = performance.now.bind(performance);
const realWall = Date.now.bind(Date);
performance.now = () => host.getStore()?.read() ?? realMonotonic();
Date.now = () => host.getStore()?.wallMs ?? realWall();
const realRandom = crypto.getRandomValues.bind(crypto);
crypto.getRandomValues = <T extends ArrayBufferView | null>(array: T): T => host.getStore()?.random(array) ?? realRandom(array as never);

/** The value of Date.now() when performance.now() is zero. */
const WALL_START_MS = Date.UTC(2026, 0, 1);

/** After this many readings in one action the clock advances nevertheless, for code that waits for that. */
const PATIENCE = 64;

export class VirtualHost {
  private monotonicMs: number;
  private readonly stepMs: number;
  private readonly queue: { readonly run: () => void; readonly afterMs: number }[] = [];
  private working = false;
  private readings = 0;
  private seed = 1;

  /**
   * The clock begins at `startMs`; while a task runs, each reading of it is `stepMs` later than the one before. Both are
   * multiples of 1/64 ms: times are then whole numbers of nanoseconds, and sums exact.
   */
  constructor(startMs: number, stepMs: number) {
    this.monotonicMs = startMs;
    this.stepMs = stepMs;
  }

  /** For this host's pacer. */
  readonly tasks: TaskSource = {
    now: () => this.monotonicMs,
    soon: (run) => void this.queue.push({ run, afterMs: 0 }),
    later: (run, afterMs) => {
      const task = { run, afterMs };
      this.queue.push(task);
      return () => {
        const at = this.queue.indexOf(task);
        if (at >= 0) this.queue.splice(at, 1);
      };
    },
    dispose: () => this.forgetTasks(),
  };

  get timeMs(): number {
    return this.monotonicMs;
  }

  get wallMs(): number {
    return WALL_START_MS + Math.floor(this.monotonicMs);
  }

  /** What performance.now() says on this host. */
  read(): number {
    if (this.working) this.monotonicMs += this.stepMs;
    else if (++this.readings % PATIENCE === 0) this.monotonicMs += 1 / 64;
    return this.monotonicMs;
  }

  /** Forgets the tasks that wait: for a PC that has stopped, they would find nothing to do. */
  forgetTasks(): void {
    this.queue.length = 0;
  }

  /** Sets the clock and the state of the random numbers to another host's. */
  setLike(other: VirtualHost): void {
    this.monotonicMs = other.monotonicMs;
    this.seed = other.seed;
  }

  /** Fills `array` with numbers that are the same in every run. */
  random<T extends ArrayBufferView | null>(array: T): T {
    if (array === null) return array;
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let at = 0; at < bytes.length; at++) {
      this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0;
      bytes[at] = this.seed >>> 24;
    }
    return array;
  }

  /** Runs `action` on this host, at one moment of its time. */
  at<T>(action: () => T): T {
    this.readings = 0;
    return host.run(this, action);
  }

  /** Runs `action` inside a task without counting its readings of the clock: for work of the host, not of the PC. */
  aside<T>(action: () => T): T {
    const { working, readings } = this;
    this.working = false;
    this.readings = 0;
    try {
      return action();
    } finally {
      this.working = working;
      this.readings = readings;
    }
  }

  /** Advances the time to when the next task is due, and runs it. Returns false if there is none. */
  step(): boolean {
    const task = this.queue.shift();
    if (task === undefined) return false;
    this.monotonicMs += task.afterMs;
    this.working = true;
    try {
      host.run(this, task.run);
    } finally {
      this.working = false;
    }
    return true;
  }
}
