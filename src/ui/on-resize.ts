import { disposable, type Disposable } from '../shared/disposable.ts';

/** A window that is being dragged larger is followed in these steps. */
const PAUSE_MS = 100;

/** Calls `resized` a little after the element has another size, however often that changes meanwhile. */
export function onResize(element: HTMLElement, resized: () => void): Disposable {
  let waiting: ReturnType<typeof setTimeout> | null = null;
  const observer = new ResizeObserver(() => {
    waiting ??= setTimeout(() => {
      waiting = null;
      resized();
    }, PAUSE_MS);
  });
  observer.observe(element);
  return disposable(() => {
    observer.disconnect();
    if (waiting !== null) clearTimeout(waiting);
  });
}
