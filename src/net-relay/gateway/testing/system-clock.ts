import type { Clock } from '../../../migration/ports.ts';
import { disposable } from '../../../shared/disposable.ts';

/** The real time, for tests against the real kernel. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms);
    return disposable(() => clearTimeout(timer));
  },
};
