import type { Disposable } from './disposable.ts';

/** Monotonic time in milliseconds, and timers; virtual in tests. */
export interface Clock {
  now(): number;
  setTimeout(callback: () => void, ms: number): Disposable;
}
