/**
 * Blinks a terminal's cursor by a timer. The animation of xterm.js looks the same, but a browser computes a frame for it
 * sixty times a second, which costs a twentieth of a processor as long as the page is open.
 */
import type { Terminal } from '@xterm/xterm';
import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { listen, setAttribute } from './dom.ts';

/** Half a period. */
const BLINK_MS = 600;

/** `element` contains the terminal, which has been opened; it gets the attribute `data-cursor-off` while the cursor is not to be seen. */
export function blinkCursor(terminal: Terminal, element: HTMLElement): Disposable {
  const bag = new DisposableBag();
  const { textarea } = terminal;
  if (textarea === undefined || window.matchMedia('(prefers-reduced-motion: reduce)').matches) return bag;
  let timer: number | null = null;
  let isOff = false;
  let hasMoved = false;
  const show = (off: boolean): void => {
    isOff = off;
    setAttribute(element, 'data-cursor-off', off);
  };
  const rest = (): void => {
    if (timer !== null) window.clearInterval(timer);
    timer = null;
    show(false);
  };
  const begin = (): void => {
    rest();
    timer = window.setInterval(() => {
      // While it moves, it is always seen.
      if (!hasMoved) show(!isOff);
      hasMoved = false;
    }, BLINK_MS);
  };
  listen(bag, textarea, 'focus', begin);
  listen(bag, textarea, 'blur', rest);
  bag.add(
    terminal.onCursorMove(() => {
      hasMoved = true;
      if (isOff) show(false);
    }),
  );
  bag.add({ dispose: rest });
  if (document.activeElement === textarea) begin();
  return bag;
}
