/**
 * Where the person types for the guest's screen: an invisible text field. It has the focus instead of the screen,
 * because only a text field opens a phone's keyboard, gets pasted text, and lets an input method compose.
 */
import { DisposableBag, disposable, type Disposable } from '../shared/disposable.ts';
import { el, listen } from './dom.ts';
import { GuestKeyboard, type KeyStroke, type SendScancodes } from './guest-keyboard.ts';
import { textChange } from './text-change.ts';

/** A phone's keyboard erases only where there is something, so the field always holds this. */
const FILLING = '________';

export interface ScreenKeyboard extends Disposable {
  /** Takes the focus. */
  readonly element: HTMLTextAreaElement;
  readonly keys: GuestKeyboard;
}

/** The browser corrects nothing. */
const UNCHANGED = { autocapitalize: 'none', autocomplete: 'off', autocorrect: 'off', spellcheck: 'false' };

/** `onLeave`: the focus is gone, and all keys are released. `say`: shows a sentence about what could not be typed. */
export function screenKeyboard(label: string, send: SendScancodes, onLeave: () => void, say: (sentence: string) => void): ScreenKeyboard {
  const bag = new DisposableBag();
  const keys = new GuestKeyboard(send, { mac: navigator.platform.startsWith('Mac') });
  const element = el('textarea', { class: 'screen-keyboard', 'aria-label': label, 'data-testid': 'screen-keyboard', ...UNCHANGED, rows: '1' });
  let known = FILLING;
  /** An input method on a physical keyboard is composing: its text counts when it is done. A phone's keyboard composes every word. */
  let composing = false;
  let keyHadPlace = false;

  function refill(): void {
    element.value = FILLING;
    element.setSelectionRange(FILLING.length, FILLING.length);
    known = FILLING;
  }

  function type(text: string): void {
    try {
      const missing = keys.type(text);
      if (missing.length > 0) say(`Not typed, because no keyboard has it: ${missing.map(named).join(', ')}.`);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      say(`${error.message} This text is longer: paste it into the console, or in parts.`);
    }
  }

  function takeChange(): void {
    const { erased, typed } = textChange(known, element.value);
    known = element.value;
    for (let n = 0; n < erased; n++) keys.tap('Backspace');
    type(typed);
  }

  listen(bag, element, 'keydown', (event) => {
    keyHadPlace = event.code !== '';
    if (keys.keyDown(keyStroke(event)) === 'guest') event.preventDefault();
  });
  listen(bag, element, 'keyup', (event) => {
    const verdict = keys.keyUp(keyStroke(event));
    if (verdict === 'guest' || verdict === 'leave') event.preventDefault();
    if (verdict === 'leave') element.blur();
  });
  listen(bag, element, 'compositionstart', () => {
    composing = keyHadPlace;
  });
  listen(bag, element, 'compositionend', () => {
    composing = false;
    takeChange();
    refill();
  });
  listen(bag, element, 'input', (event) => {
    if (composing) return;
    takeChange();
    if (!(event instanceof InputEvent) || !event.isComposing) refill();
  });
  listen(bag, element, 'paste', (event) => {
    event.preventDefault();
    type(event.clipboardData?.getData('text/plain') ?? '');
  });

  function leave(): void {
    keys.releaseAll();
    composing = false;
    refill();
    onLeave();
  }
  listen(bag, element, 'blur', leave);
  bag.add(onWindowLeft(leave));

  refill();
  return {
    element,
    keys,
    dispose() {
      leave();
      bag.dispose();
      element.remove();
    },
  };
}

/** A window in the background gets no key-up, whether or not there was a blur event. */
function onWindowLeft(leave: () => void): Disposable {
  const hidden = (): void => {
    if (document.visibilityState === 'hidden') leave();
  };
  window.addEventListener('blur', leave);
  window.addEventListener('pagehide', leave);
  document.addEventListener('visibilitychange', hidden);
  return disposable(() => {
    window.removeEventListener('blur', leave);
    window.removeEventListener('pagehide', leave);
    document.removeEventListener('visibilitychange', hidden);
  });
}

function keyStroke(event: KeyboardEvent): KeyStroke {
  const { code, key, shiftKey, ctrlKey, altKey, metaKey, isComposing } = event;
  return { code, key, shiftKey, ctrlKey, altKey, metaKey, isComposing, altGraph: event.getModifierState('AltGraph') };
}

function named(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
