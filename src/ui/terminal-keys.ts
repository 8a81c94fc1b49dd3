/** Keys that mean something else in a browser's terminal than on a serial line. Pure. */

export interface KeyPress {
  readonly type: string;
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
  readonly metaKey: boolean;
}

export type KeyMeaning =
  /** The terminal's business. */
  | { readonly kind: 'terminal' }
  /** The browser's: Shift+Tab leads out of the console, so that nobody is caught inside; Ctrl+V pastes, but on a Mac, where Cmd+V does. */
  | { readonly kind: 'browser' }
  | { readonly kind: 'copy' }
  /** A character that AltGr gives, or a Mac's Option. */
  | { readonly kind: 'character'; readonly text: string };

const TERMINAL: KeyMeaning = { kind: 'terminal' };

/** What a pressed key means; for another event than `keydown`, the browser's or the terminal's business. */
export function keyMeaning(event: KeyPress, hasSelection: boolean, isMac: boolean): KeyMeaning {
  const { key, ctrlKey, altKey, shiftKey, metaKey } = event;
  if (key === 'Tab' && shiftKey) return { kind: 'browser' };
  // Option is Meta; but on many layouts only Option gives @ | [ ] { }, and where it does not, no ASCII sign comes of it.
  if (isMac && altKey && !ctrlKey && !metaKey && event.type === 'keydown' && /^[!-/:-@[-`{-~]$/.test(key)) return { kind: 'character', text: key };
  if (!ctrlKey || metaKey || event.type !== 'keydown') return TERMINAL;
  if (altKey) {
    // Windows sends AltGr as Ctrl and Alt together. What no plain key gives, like @ or €, is the layout's third level.
    return Array.from(key).length === 1 && !/^[a-z0-9 ]$/i.test(key) ? { kind: 'character', text: key } : TERMINAL;
  }
  const letter = key.toLowerCase();
  // With nothing selected Ctrl+C interrupts, and Ctrl+Shift+C, which would open the browser's tools, does nothing.
  if (letter === 'c' && (shiftKey || hasSelection)) return { kind: 'copy' };
  if (letter === 'v' && !isMac) return { kind: 'browser' };
  return TERMINAL;
}
