import type { Clock } from './clock.ts';
import { disposable, type Disposable } from './disposable.ts';

/** Calls `action` every `ms` milliseconds, the first time after as many, until it is disposed of. */
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
