import type { Clock } from './clock.ts';
import { disposable, type Disposable } from './disposable.ts';

/** Calls `action` every `ms` milliseconds, for the first time after `ms`, until the result is disposed. */
export function repeat(clock: Clock, ms: number, action: () => void): Disposable {
  let timer: Disposable;
  const wait = (): void => {
    timer = clock.setTimeout(() => {
      wait();
      action();
    }, ms);
  };
  wait();
  return disposable(() => timer.dispose());
}
