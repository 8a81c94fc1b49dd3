/**
 * Schedules the guest's CPU. v86 works in ticks of about a millisecond and asks for the next one with `yield(delay)`.
 * The pacer serves this call instead of v86's own nested worker, and rests between ticks when the guest is throttled.
 * It also knows what write tracking depends on: whether a guest instruction is being executed right now.
 */
import type { V86Machine } from './v86-api.ts';

/**
 * Longest rest a throttled guest takes in one piece. A single long tick (a big JIT compilation, a slow host) would
 * otherwise stop the guest for seconds.
 */
const MAX_REST_MS = 250;
/** Below this, a guest would run for one tick in MAX_REST_MS at most. */
const SMALLEST_FRACTION = 0.01;
/** Below this, a rest is not worth a timer: the next tick comes as the next task, and what is left of the rest later. */
const SHORTEST_TIMER_MS = 1;

/** Schedules the pacer's callbacks: with the platform's tasks in the product (platform-tasks.ts), manually in tests. */
export interface TaskSource {
  /** Monotonic milliseconds. */
  now(): number;
  /** Runs `task` as the next task of the event loop. */
  soon(task: () => void): void;
  /** Runs `task` after `ms`; the function returned cancels it. */
  later(task: () => void, ms: number): () => void;
  dispose(): void;
}

export class Pacer {
  private readonly machine: V86Machine;
  private readonly tasks: TaskSource;
  private readonly stockTick: () => void;
  private readonly waiting: (() => void)[] = [];
  private readonly afterTick: () => void;
  private readonly onCrash: (error: unknown) => void;
  private cancelTimer: (() => void) | null = null;
  private inTick = false;
  private tickStarted = 0;
  private tickEnded = 0;
  private fraction = 1;
  private restMs = 0;

  /**
   * Takes over the scheduling of `machine`. `afterTick` is called after each tick, `onCrash` when the emulator itself
   * throws; the machine is stopped then.
   */
  constructor(machine: V86Machine, tasks: TaskSource, listeners: { afterTick: () => void; onCrash: (error: unknown) => void }) {
    this.machine = machine;
    this.tasks = tasks;
    this.afterTick = listeners.afterTick;
    this.onCrash = listeners.onCrash;
    this.stockTick = machine.do_tick.bind(machine);
    machine.unregister_yield();
    machine.do_tick = () => this.tick();
    machine.yield = (delay, tick) => this.schedule(delay, tick);
  }

  get running(): boolean {
    return this.machine.running && !this.machine.stopping;
  }

  run(): void {
    this.restMs = 0;
    this.tickEnded = this.tasks.now();
    this.machine.run();
  }

  /** Stops the CPU; when it resolves, no guest instruction runs any more. */
  stop(): Promise<void> {
    return this.betweenTicks(() => {
      if (!this.machine.running) return;
      this.machine.stop();
      this.cancelTimer?.();
      this.cancelTimer = null;
      // A tick requested earlier has an old number and is ignored. The tick started here sees `stopping` and ends the run.
      this.machine.tick_counter++;
      this.stockTick();
    });
  }

  /** Leaves the guest this fraction (0..1] of the CPU. Throws RangeError for anything else. */
  throttle(fraction: number): void {
    if (!(fraction > 0 && fraction <= 1)) throw new RangeError(`A guest gets a fraction of the CPU above 0 and up to 1, not ${fraction}`);
    this.fraction = Math.max(SMALLEST_FRACTION, fraction);
    if (this.fraction === 1) this.restMs = 0;
  }

  /**
   * Runs `action` when no guest instruction is being executed: usually at once, but as soon as the tick ends when
   * called from a v86 callback (a byte on the console, say).
   */
  betweenTicks<T>(action: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = (): void => {
        try {
          resolve(action());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      if (this.inTick) this.waiting.push(attempt);
      else attempt();
    });
  }

  /** True inside a callback of v86: guest instructions are only half executed. */
  get insideTick(): boolean {
    return this.inTick;
  }

  dispose(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
    this.machine.tick_counter++;
    this.machine.running = false;
    this.tasks.dispose();
  }

  private tick(): void {
    this.tickStarted = this.tasks.now();
    this.restMs = Math.max(0, this.restMs - (this.tickStarted - this.tickEnded));
    this.inTick = true;
    try {
      this.stockTick();
    } catch (error) {
      this.machine.running = false;
      this.machine.stopping = false;
      this.onCrash(error);
    } finally {
      this.inTick = false;
      this.tickEnded = this.tasks.now();
    }
    for (const action of this.waiting.splice(0)) action();
    this.afterTick();
  }

  private schedule(delay: number, tick: number): void {
    if (!this.machine.running) return;
    const now = this.tasks.now();
    if (this.inTick && this.fraction < 1) {
      const worked = now - this.tickStarted;
      this.restMs = Math.min(MAX_REST_MS, this.restMs + worked * (1 / this.fraction - 1));
    }
    const rest = this.inTick ? this.restMs : this.restMs - (now - this.tickEnded);
    // An idle guest's delay is rounded up: timers count whole milliseconds, and after one that fires early the guest would
    // run ticks in a row until its own timer is due. A frame or a disk block that arrives wakes it earlier.
    const wait = Math.max(Math.ceil(delay), rest);
    this.cancelTimer?.();
    this.cancelTimer = null;
    const callback = (): void => this.machine.yield_callback(tick);
    if (wait < SHORTEST_TIMER_MS) this.tasks.soon(callback);
    else this.cancelTimer = this.tasks.later(callback, wait);
  }
}
