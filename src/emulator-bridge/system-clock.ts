import { disposable } from '../shared/disposable.ts';
import type { Clock } from '../migration/ports.ts';

/** The real clock: monotonic milliseconds and the platform's timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms);
    return disposable(() => clearTimeout(timer));
  },
};
