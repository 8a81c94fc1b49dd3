import { disposable, type Disposable } from '../shared/disposable.ts';

/** A person who ended `npm start` and starts it again at once must not find the port still taken. */
const LOOK_EVERY_MS = 250;

/**
 * Calls `onGone` once when the process that started this one has ended. `npm start` runs its script in a shell; a signal
 * sent to npm alone ends that shell, but does not reach what the shell runs.
 */
export function watchParent(onGone: () => void, parentId: () => number = () => process.ppid): Disposable {
  const parent = parentId();
  const timer = setInterval(() => {
    if (parentId() === parent) return;
    clearInterval(timer);
    onGone();
  }, LOOK_EVERY_MS);
  timer.unref();
  return disposable(() => clearInterval(timer));
}
