/**
 * Simulates a PC keyboard in the American layout with whatever keyboard the person has. A character is typed with the
 * keys that produce it in the guest, wherever it is on the person's keyboard; every other key is sent as itself. A key
 * stays down as long as the person holds it, where that is possible.
 *
 * Only this file knows which modifiers are pressed in the guest; a character that needs others gets them just while it is
 * typed. The guest never gets CapsLock and NumLock: the typed characters already show their effect.
 */
import { scancodes } from './scancodes.ts';
import { tap, typeCharacter, usKey } from './us-layout.ts';

/** The used properties of a KeyboardEvent. */
export interface KeyStroke {
  readonly code: string;
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly metaKey: boolean;
  /** getModifierState('AltGraph'). */
  readonly altGraph: boolean;
  readonly isComposing: boolean;
}

/**
 * `guest`: the guest gets the key, and the browser must not act on it. `text`: the browser makes text of it, which then
 * goes to type(). `browser`: the browser handles it. `leave`: the person asks for the keyboard back.
 */
export type Verdict = 'guest' | 'text' | 'browser' | 'leave';

export interface KeyboardOptions {
  /** On a Mac, Option (elsewhere Alt) types characters. */
  readonly mac?: boolean;
}

/** Gets whole sequences; each is sent in one piece. */
export type SendScancodes = (codes: readonly number[]) => void;

type Modifier = 'Shift' | 'Control' | 'Alt';
const MODIFIERS: readonly Modifier[] = ['Shift', 'Control', 'Alt'];

/** Names of keys from which the browser or an input method still makes a character. */
const NOT_YET_TEXT = new Set(['Dead', 'Process', 'Unidentified']);

/** Most bytes that may be typed at once: the guest's terminal holds 4,095 unread bytes. */
export const TYPE_LIMIT_BYTES = 4_000;

export class GuestKeyboard {
  private readonly send: SendScancodes;
  private readonly mac: boolean;
  /** Keys that are down in the guest: from the code of the person's key to the guest's key. */
  private readonly down = new Map<string, string>();
  private afterDeadKey = false;
  /** Ctrl and Alt are down and nothing else was pressed since. */
  private leaving = false;

  constructor(send: SendScancodes, options: KeyboardOptions = {}) {
    this.send = send;
    this.mac = options.mac ?? false;
  }

  keyDown(stroke: KeyStroke): Verdict {
    const modifier = modifierOf(stroke);
    if (modifier === null) this.leaving = false;
    if (stroke.isComposing) return 'text';
    if (NOT_YET_TEXT.has(stroke.key) && (stroke.key !== 'Unidentified' || scancodes(stroke.code, 'down').length === 0)) {
      this.afterDeadKey = stroke.key === 'Dead';
      return 'text';
    }
    this.letGoOfModifiers(stroke, modifier);
    if (stroke.key === 'AltGraph') {
      // Windows reports Ctrl before AltGr, although nobody pressed Ctrl.
      this.letGo('ControlLeft');
      return 'guest';
    }
    if (stroke.metaKey || BROWSERS.has(stroke.key) || isPaste(stroke)) return 'browser';
    if (modifier !== null) {
      this.press(stroke.code, modifier);
      this.leaving = this.held('Control') && this.held('Alt') && this.down.size === 2;
      return 'guest';
    }
    const composed = this.afterDeadKey;
    this.afterDeadKey = false;
    if (!isCharacter(stroke.key)) return this.namedKey(stroke);
    if (this.isShortcut(stroke)) {
      this.shortcut(stroke);
      return 'guest';
    }
    if (composed) return 'text';
    this.character(stroke);
    return 'guest';
  }

  keyUp(stroke: KeyStroke): Verdict {
    const leave = this.leaving && modifierOf(stroke) !== null;
    const known = this.letGo(stroke.code);
    this.letGoOfModifiers(stroke, null);
    if (leave) {
      this.leaving = false;
      return 'leave';
    }
    return known || modifierOf(stroke) !== null ? 'guest' : 'browser';
  }

  /** Presses and releases one key, e.g. from a bar of keys on the screen; `control`: with Ctrl. */
  tap(code: string, control = false): void {
    this.without(MODIFIERS, control ? [...scancodes('ControlLeft', 'down'), ...tap(code), ...scancodes('ControlLeft', 'up')] : tap(code));
  }

  /** Types `text`; returns the characters that no keyboard can type, once each. Throws RangeError above TYPE_LIMIT_BYTES. */
  type(text: string): string[] {
    if (new TextEncoder().encode(text).length > TYPE_LIMIT_BYTES) {
      throw new RangeError(`A keyboard can type ${TYPE_LIMIT_BYTES.toLocaleString('en')} bytes at once.`);
    }
    const missing = new Set<string>();
    for (const character of text.replaceAll('\r\n', '\n')) {
      const codes = typeCharacter(character);
      if (codes === null) missing.add(character);
      else this.without(MODIFIERS, codes);
    }
    return [...missing];
  }

  /** The focus is gone, so no key-up will arrive. */
  releaseAll(): void {
    for (const code of [...this.down.keys()].reverse()) this.letGo(code);
    this.afterDeadKey = false;
    this.leaving = false;
  }

  /** A key without a character is sent as itself: by its name where that says more than its position (the keypad's Home, Escape on CapsLock). */
  private namedKey(stroke: KeyStroke): Verdict {
    const byName = scancodes(stroke.key, 'down').length > 0 && !stroke.code.endsWith(stroke.key);
    const code = byName ? stroke.key : stroke.code;
    if (scancodes(code, 'down').length === 0) return 'browser';
    this.holdModifiers(stroke);
    this.press(stroke.code, code);
    return 'guest';
  }

  /** Ctrl or Alt with a character: presses the guest's key for that character; if the guest's keyboard has none, the key at the same position. */
  private shortcut(stroke: KeyStroke): void {
    this.holdModifiers(stroke);
    const keypad = stroke.altKey && !stroke.ctrlKey && stroke.code.startsWith('Numpad');
    const key = keypad ? null : usKey(stroke.key);
    if (key === null) this.press(stroke.code, stroke.code);
    // CapsLock does not turn a letter into another shortcut.
    else if (key.shift === this.held('Shift') || isLetterOrDigit(stroke.key)) this.press(stroke.code, key.code);
    else if (key.shift) this.send([...scancodes('ShiftLeft', 'down'), ...tap(key.code), ...scancodes('ShiftLeft', 'up')]);
    else this.without(['Shift'], tap(key.code));
  }

  private character(stroke: KeyStroke): void {
    const key = usKey(stroke.key);
    const alone = !this.held('Control') && !this.held('Alt');
    if (key !== null && alone && key.shift === this.held('Shift')) this.press(stroke.code, key.code);
    else this.type(stroke.key);
  }

  /** Whether Ctrl and Alt are meant for the program, or only helped to type the character. */
  private isShortcut({ key, code, ctrlKey, altKey, altGraph }: KeyStroke): boolean {
    // With AltGr, Windows also reports Ctrl and Alt.
    if (altGraph) return ctrlKey && !altKey;
    // Ctrl+Alt is AltGr on Windows, and Option types characters on a Mac, if the result is a character that the key alone does not give.
    if (altKey && (ctrlKey || this.mac)) return isLetterOrDigit(key) || usKey(key)?.code === code;
    return ctrlKey || altKey;
  }

  /** Sends `codes` with these modifiers up, then restores the modifiers. */
  private without(modifiers: readonly Modifier[], codes: readonly number[]): void {
    const held = [...this.down.values()].filter((code) => modifiers.some((modifier) => code.startsWith(modifier)));
    this.send([...held.flatMap((code) => scancodes(code, 'up')), ...codes, ...held.flatMap((code) => scancodes(code, 'down'))]);
  }

  /** If the person holds a modifier that is not down in the guest, it was pressed before this got the focus: presses it there. */
  private holdModifiers(stroke: KeyStroke): void {
    for (const modifier of MODIFIERS) {
      if (isOn(stroke, modifier) && !this.held(modifier)) this.press(`${modifier}Left`, `${modifier}Left`);
    }
  }

  /** If a modifier is down in the guest that the person neither holds nor presses, its key-up went elsewhere: releases it there. */
  private letGoOfModifiers(stroke: KeyStroke, pressed: string | null): void {
    for (const modifier of MODIFIERS) {
      if (isOn(stroke, modifier) || pressed?.startsWith(modifier) === true) continue;
      for (const [code, guestCode] of [...this.down]) if (guestCode.startsWith(modifier)) this.letGo(code);
    }
  }

  private held(modifier: Modifier): boolean {
    return [...this.down.values()].some((code) => code.startsWith(modifier));
  }

  /** Presses the guest's key until the person's key goes up; a key without a position (a phone's) is released at once. */
  private press(code: string, guestCode: string): void {
    if (code === '') {
      this.send(tap(guestCode));
      return;
    }
    const before = this.down.get(code);
    if (before !== undefined && before !== guestCode) this.letGo(code);
    this.down.set(code, guestCode);
    this.send(scancodes(guestCode, 'down'));
  }

  private letGo(code: string): boolean {
    const guestCode = this.down.get(code);
    if (guestCode === undefined) return false;
    this.down.delete(code);
    // Two of the person's keys may hold the same guest key.
    if (![...this.down.values()].includes(guestCode)) this.send(scancodes(guestCode, 'up'));
    return true;
  }
}

/** Keys that act on the person's own keyboard or system. */
const BROWSERS = new Set(['CapsLock', 'NumLock', 'Meta', 'OS', 'Fn', 'FnLock']);

/** The guest's modifier key, or null. */
function modifierOf({ key, code }: KeyStroke): string | null {
  // With Shift, X calls the Alt key Meta.
  if (key === 'Meta' && code.startsWith('Alt')) return code;
  if (!MODIFIERS.includes(key as Modifier)) return null;
  return code.startsWith(key) ? code : `${key}Left`;
}

function isOn(stroke: KeyStroke, modifier: Modifier): boolean {
  return modifier === 'Shift' ? stroke.shiftKey : modifier === 'Control' ? stroke.ctrlKey : stroke.altKey;
}

/** The shortcuts with which terminals paste; Ctrl+V belongs to the guest. */
function isPaste({ key, ctrlKey, shiftKey, altKey }: KeyStroke): boolean {
  return shiftKey && !altKey && ((ctrlKey && key.toLowerCase() === 'v') || (!ctrlKey && key === 'Insert'));
}

function isCharacter(key: string): boolean {
  return Array.from(key).length === 1;
}

function isLetterOrDigit(key: string): boolean {
  return /^[a-z\d]$/i.test(key);
}
