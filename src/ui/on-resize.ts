import { disposable, type Disposable } from '../shared/disposable.ts';

/** While a window is being dragged larger, its size is followed in steps of this length. */
const PAUSE_MS = 100;

/** Calls `resized` a little after the element's size has changed, once however often it changes until then. */
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
