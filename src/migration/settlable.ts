import type { Clock } from '../shared/clock.ts';

/** A promise that is resolved from outside. */
export interface Settlable<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

export function settlable<T>(): Settlable<T> {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Resolves when `work` resolves or rejects, or after `ms`. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.setTimeout(resolve, ms);
    const settle = (): void => {
      timer.dispose();
      resolve();
    };
    work.then(settle, settle);
  });
}
