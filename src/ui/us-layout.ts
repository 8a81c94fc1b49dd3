/**
 * What a PC keyboard must do so that the guest reads a character. The guest uses the kernel's own layout, the American
 * one. Characters that it lacks are typed by their number: Linux reads Alt with digits of the keypad as a number
 * (k_ascii in its keyboard driver: the decimal number is a Unicode code point, and the terminal gets it as UTF-8).
 */
import { scancodes } from './scancodes.ts';

/** A key of the American layout, and whether the character needs Shift. */
export interface UsKey {
  readonly code: string;
  readonly shift: boolean;
}

/** Unshifted and shifted, by key. Letters are added below. */
const SYMBOLS: Readonly<Record<string, string>> = {
  Digit1: '1!',
  Digit2: '2@',
  Digit3: '3#',
  Digit4: '4$',
  Digit5: '5%',
  Digit6: '6^',
  Digit7: '7&',
  Digit8: '8*',
  Digit9: '9(',
  Digit0: '0)',
  Minus: '-_',
  Equal: '=+',
  BracketLeft: '[{',
  BracketRight: ']}',
  Semicolon: ';:',
  Quote: '\'"',
  Backquote: '`~',
  Backslash: '\\|',
  Comma: ',<',
  Period: '.>',
  Slash: '/?',
};
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

const KEYS: ReadonlyMap<string, UsKey> = new Map<string, UsKey>([
  ...Object.entries(SYMBOLS).flatMap(([code, pair]) => both(code, pair)),
  ...Array.from(LETTERS).flatMap((letter) => both(`Key${letter.toUpperCase()}`, letter + letter.toUpperCase())),
  [' ', { code: 'Space', shift: false }],
  ['\n', { code: 'Enter', shift: false }],
  ['\r', { code: 'Enter', shift: false }],
  ['\t', { code: 'Tab', shift: false }],
  ['\b', { code: 'Backspace', shift: false }],
]);

function both(code: string, pair: string): (readonly [string, UsKey])[] {
  return Array.from(pair, (character, index) => [character, { code, shift: index === 1 }]);
}

/** The key that gives `character` on the American layout, if there is one. */
export function usKey(character: string): UsKey | null {
  return KEYS.get(character) ?? null;
}

/** A key down and up again. */
export function tap(code: string): readonly number[] {
  return [...scancodes(code, 'down'), ...scancodes(code, 'up')];
}

/** Scan codes that type one character while no modifier is down; null if nothing types it: a control character, half a pair. */
export function typeCharacter(character: string): readonly number[] | null {
  const key = usKey(character);
  if (key !== null) {
    return key.shift ? [...scancodes('ShiftLeft', 'down'), ...tap(key.code), ...scancodes('ShiftLeft', 'up')] : tap(key.code);
  }
  if (/^[\p{Cc}\p{Cs}]$/u.test(character)) return null;
  const digits = Array.from(String(character.codePointAt(0)));
  return [...scancodes('AltLeft', 'down'), ...digits.flatMap((digit) => tap(`Numpad${digit}`)), ...scancodes('AltLeft', 'up')];
}
