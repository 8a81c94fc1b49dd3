import type { Clock } from './clock.ts';
import { disposable } from './disposable.ts';

/** What every runtime has: browser page, worker, Node. */
interface Runtime {
  readonly performance: { now(): number };
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** Looked up at each use: a test may put its own there. */
const runtime = globalThis as unknown as Runtime;

/** The real clock: the runtime's monotonic time and its timers. */
export const systemClock: Clock = {
  now: () => runtime.performance.now(),
  setTimeout(callback, ms) {
    const timer = runtime.setTimeout(callback, ms);
    return disposable(() => runtime.clearTimeout(timer));
  },
};
