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
  /** The terminal handles the key. */
  | { readonly kind: 'terminal' }
  /** The browser handles the key: Shift+Tab leads out of the console, so that nobody is trapped inside; Ctrl+V pastes, except on a Mac, where Cmd+V does. */
  | { readonly kind: 'browser' }
  | { readonly kind: 'copy' }
  /** A character that AltGr gives, or a Mac's Option. */
  | { readonly kind: 'character'; readonly text: string };

const TERMINAL: KeyMeaning = { kind: 'terminal' };

/** What a pressed key means; for events other than `keydown`, the browser or the terminal handles it. */
export function keyMeaning(event: KeyPress, hasSelection: boolean, isMac: boolean): KeyMeaning {
  const { key, ctrlKey, altKey, shiftKey, metaKey } = event;
  if (key === 'Tab' && shiftKey) return { kind: 'browser' };
  // Option is Meta. But on many layouts only Option types @ | [ ] { }; on the others it types no ASCII symbol.
  if (isMac && altKey && !ctrlKey && !metaKey && event.type === 'keydown' && /^[!-/:-@[-`{-~]$/.test(key)) return { kind: 'character', text: key };
  if (!ctrlKey || metaKey || event.type !== 'keydown') return TERMINAL;
  if (altKey) {
    // Windows sends AltGr as Ctrl and Alt together. What no plain key gives, like @ or €, is the layout's third level.
    return Array.from(key).length === 1 && !/^[a-z0-9 ]$/i.test(key) ? { kind: 'character', text: key } : TERMINAL;
  }
  const letter = key.toLowerCase();
  // With nothing selected, Ctrl+C interrupts. Ctrl+Shift+C then does nothing; otherwise it would open the browser's tools.
  if (letter === 'c' && (shiftKey || hasSelection)) return { kind: 'copy' };
  if (letter === 'v' && !isMac) return { kind: 'browser' };
  return TERMINAL;
}
