import { disposable, type Disposable } from '../shared/disposable.ts';

/** If the page really goes away, it is gone by then. */
const STAYED_MS = 300;

/**
 * Makes the browser ask before this tab is closed or reloaded while `holdsVms()`. A page cannot put words or choices
 * into that question; `stayed` is called when the person stays, and offers the choice then.
 */
export function leaveGuard(holdsVms: () => boolean, stayed: () => void): Disposable {
  let timer: number | undefined;
  const ask = (event: BeforeUnloadEvent): void => {
    if (!holdsVms()) return;
    event.preventDefault();
    clearTimeout(timer);
    timer = window.setTimeout(stayed, STAYED_MS);
  };
  window.addEventListener('beforeunload', ask);
  return disposable(() => {
    clearTimeout(timer);
    window.removeEventListener('beforeunload', ask);
  });
}
