import type { Clock } from '../migration/ports.ts';
import { disposable } from '../shared/disposable.ts';

/** The real clock: monotonic milliseconds and the runtime's timers (browser page, worker, Node). */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms);
    return disposable(() => clearTimeout(timer));
  },
};
