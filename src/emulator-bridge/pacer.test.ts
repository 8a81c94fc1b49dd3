import { describe, expect, it } from 'vitest';
import { Pacer, type TaskSource } from './pacer.ts';
import type { V86Machine } from './v86-api.ts';

/** Tasks on a virtual clock: soon() at the same time, later() when it is due. */
class VirtualTasks implements TaskSource {
  time = 0;
  private readonly queue: { at: number; task: () => void }[] = [];

  now(): number {
    return this.time;
  }

  soon(task: () => void): void {
    this.queue.push({ at: this.time, task });
  }

  later(task: () => void, ms: number): () => void {
    // As a browser's timers, which count whole milliseconds.
    const entry = { at: this.time + Math.floor(ms), task };
    this.queue.push(entry);
    return () => void this.queue.splice(this.queue.indexOf(entry), this.queue.includes(entry) ? 1 : 0);
  }

  dispose(): void {
    this.queue.length = 0;
  }

  runUntil(end: number): void {
    for (;;) {
      const next = this.queue.reduce<number>((best, entry, index) => (entry.at < (this.queue[best]?.at ?? Infinity) ? index : best), -1);
      const entry = this.queue[next];
      if (entry === undefined || entry.at > end) break;
      this.queue.splice(next, 1);
      this.time = Math.max(this.time, entry.at);
      entry.task();
    }
    this.time = Math.max(this.time, end);
  }

  get pending(): number {
    return this.queue.length;
  }
}

/** v86's scheduler (its main.js), with a CPU that takes `tickMs` for a tick and then wants the next after `idleMs`. */
class FakeScheduler {
  running = false;
  stopping = false;
  idle = true;
  tick_counter = 0;
  busyMs = 0;
  tickMs = 1;
  idleMs = 0;
  /** Ticks so far. */
  ticks = 0;
  during: () => void = () => undefined;
  yield: (delay: number, tick: number) => void = () => {
    throw new Error('The pacer should have replaced this');
  };
  private readonly tasks: VirtualTasks;

  constructor(tasks: VirtualTasks) {
    this.tasks = tasks;
  }

  run(): void {
    this.stopping = false;
    this.running = true;
    this.next_tick(0);
  }

  stop(): void {
    if (this.running) this.stopping = true;
  }

  do_tick(): void {
    if (this.stopping || !this.running) {
      this.stopping = this.running = false;
      return;
    }
    this.idle = false;
    this.during();
    this.tasks.time += this.tickMs;
    this.busyMs += this.tickMs;
    this.ticks++;
    this.next_tick(this.idleMs);
  }

  next_tick(delay: number): void {
    const tick = ++this.tick_counter;
    this.idle = true;
    this.yield(delay, tick);
  }

  /** An interrupt from outside a tick. */
  wake(): void {
    if (this.idle) this.next_tick(0);
  }

  yield_callback(tick: number): void {
    if (tick === this.tick_counter) this.do_tick();
  }

  unregister_yield(): void {
    // v86 would end its timer worker.
  }
}

function setUp() {
  const tasks = new VirtualTasks();
  const scheduler = new FakeScheduler(tasks);
  const crashes: unknown[] = [];
  let ticks = 0;
  const pacer = new Pacer(scheduler as unknown as V86Machine, tasks, { afterTick: () => ticks++, onCrash: (error) => crashes.push(error) });
  return { tasks, scheduler, pacer, crashes, ticks: () => ticks };
}

describe('Pacer', () => {
  it('runs a busy guest all the time and an idle one when it asked to be run', () => {
    const { tasks, scheduler, pacer } = setUp();
    pacer.run();
    tasks.runUntil(1000);
    expect(scheduler.busyMs).toBeGreaterThan(990);
    scheduler.idleMs = 99;
    scheduler.busyMs = 0;
    tasks.runUntil(2000);
    expect(scheduler.busyMs).toBeLessThanOrEqual(11);
  });

  it('wakes an idle guest once for each of its timers, at most a millisecond late', () => {
    const { tasks, scheduler, pacer } = setUp();
    const PERIOD_MS = 4;
    const late: number[] = [];
    let due = PERIOD_MS;
    scheduler.tickMs = 0.03;
    scheduler.during = () => {
      if (tasks.time < due) return;
      late.push(tasks.time - due);
      due += PERIOD_MS;
    };
    Object.defineProperty(scheduler, 'idleMs', { get: () => due - tasks.time });
    pacer.run();
    tasks.runUntil(4000 + PERIOD_MS / 2);
    expect(late).toHaveLength(4000 / PERIOD_MS);
    expect(Math.max(...late)).toBeLessThanOrEqual(1);
    expect(scheduler.ticks).toBeLessThanOrEqual(4000 / PERIOD_MS + 1);
  });

  it.each([0.8, 0.5, 0.2, 0.05])('leaves a throttled guest the fraction %s of the CPU', (fraction) => {
    const { tasks, scheduler, pacer } = setUp();
    pacer.throttle(fraction);
    pacer.run();
    tasks.runUntil(20_000);
    expect(scheduler.busyMs / 20_000).toBeCloseTo(fraction, 2);
  });

  it('counts the time a throttled guest sleeps by itself as rest', () => {
    const { tasks, scheduler, pacer } = setUp();
    pacer.throttle(0.5);
    scheduler.idleMs = 4;
    pacer.run();
    tasks.runUntil(10_000);
    expect(scheduler.busyMs / 10_000).toBeCloseTo(1 / 5, 2);
  });

  it('keeps a throttled guest at rest although interrupts want to wake it', () => {
    const { tasks, scheduler, pacer } = setUp();
    pacer.throttle(0.1);
    pacer.run();
    for (let ms = 0; ms < 10_000; ms++) {
      tasks.runUntil(ms);
      scheduler.wake();
    }
    expect(scheduler.busyMs / 10_000).toBeCloseTo(0.1, 1);
  });

  it('lets one long tick cost a bounded rest', () => {
    const { tasks, scheduler, pacer } = setUp();
    pacer.throttle(0.01);
    scheduler.tickMs = 1000;
    pacer.run();
    tasks.runUntil(0);
    scheduler.tickMs = 1;
    scheduler.busyMs = 0;
    tasks.runUntil(1300);
    expect(scheduler.busyMs).toBeGreaterThan(0);
  });

  it('refuses a fraction that is none', () => {
    const { pacer } = setUp();
    for (const fraction of [0, -1, 1.1, NaN]) expect(() => pacer.throttle(fraction)).toThrow(RangeError);
  });

  it('is unthrottled again at 1', () => {
    const { tasks, scheduler, pacer } = setUp();
    pacer.throttle(0.1);
    pacer.run();
    tasks.runUntil(1000);
    pacer.throttle(1);
    tasks.runUntil(1100);
    scheduler.busyMs = 0;
    tasks.runUntil(2100);
    expect(scheduler.busyMs).toBeGreaterThan(990);
  });

  it('stops at once, also while the guest sleeps, and leaves nothing behind that would run it', async () => {
    const { tasks, scheduler, pacer } = setUp();
    scheduler.idleMs = 100;
    pacer.run();
    tasks.runUntil(10);
    await pacer.stop();
    expect(scheduler.running).toBe(false);
    scheduler.busyMs = 0;
    scheduler.wake();
    tasks.runUntil(1000);
    expect(scheduler.busyMs).toBe(0);
    pacer.run();
    tasks.runUntil(1200);
    expect(scheduler.busyMs).toBeGreaterThan(0);
  });

  it('stops after the tick when asked inside one', async () => {
    const { tasks, scheduler, pacer } = setUp();
    const stopped: Promise<void>[] = [];
    let runningInside = false;
    scheduler.during = () => {
      stopped.push(pacer.stop());
      runningInside = scheduler.running;
    };
    pacer.run();
    tasks.runUntil(50);
    await Promise.all(stopped);
    expect(runningInside).toBe(true);
    expect(scheduler.running).toBe(false);
    expect(scheduler.busyMs).toBe(1);
  });

  it('never runs an action in the middle of a tick', async () => {
    const { tasks, scheduler, pacer } = setUp();
    let inside = false;
    const seen: boolean[] = [];
    const results: Promise<unknown>[] = [];
    scheduler.during = () => {
      inside = true;
      results.push(pacer.betweenTicks(() => seen.push(inside)));
      inside = false;
    };
    pacer.run();
    tasks.runUntil(5);
    results.push(pacer.betweenTicks(() => seen.push(inside)));
    await Promise.all(results);
    expect(seen.length).toBe(results.length);
    expect(seen).not.toContain(true);
  });

  it('reports the error of an action to who asked for it', async () => {
    const { pacer } = setUp();
    await expect(
      pacer.betweenTicks(() => {
        throw new RangeError('no');
      }),
    ).rejects.toThrow('no');
  });

  it('stops the machine when the emulator throws, and tells', () => {
    const { tasks, scheduler, pacer, crashes } = setUp();
    scheduler.during = () => {
      throw new Error('unreachable');
    };
    pacer.run();
    tasks.runUntil(10);
    expect(crashes).toHaveLength(1);
    expect(pacer.running).toBe(false);
  });

  it('holds no task or timer after its disposal', () => {
    const { tasks, scheduler, pacer } = setUp();
    pacer.run();
    tasks.runUntil(3);
    pacer.dispose();
    expect(tasks.pending).toBe(0);
    scheduler.busyMs = 0;
    tasks.runUntil(100);
    expect(scheduler.busyMs).toBe(0);
  });
});
