import { describe, expect, it } from 'vitest';
import { keyMeaning, type KeyPress } from './terminal-keys.ts';

function press(key: string, held: Partial<KeyPress> = {}): KeyPress {
  return { type: 'keydown', key, ctrlKey: false, altKey: false, shiftKey: false, metaKey: false, ...held };
}
const CTRL = { ctrlKey: true };
const ALT_GR = { ctrlKey: true, altKey: true };

describe("the terminal's keys", () => {
  it.each([
    ['a', {}, false, 'terminal'],
    ['Tab', {}, false, 'terminal'],
    ['Escape', {}, false, 'terminal'],
    ['Dead', {}, false, 'terminal'],
    ['Tab', { shiftKey: true }, false, 'browser'],
    ['c', CTRL, false, 'terminal'],
    ['c', CTRL, true, 'copy'],
    ['C', { ctrlKey: true, shiftKey: true }, true, 'copy'],
    ['C', { ctrlKey: true, shiftKey: true }, false, 'copy'],
    ['c', { ctrlKey: true, type: 'keyup' }, true, 'terminal'],
    ['c', { metaKey: true }, true, 'terminal'],
    ['v', CTRL, false, 'browser'],
    ['V', { ctrlKey: true, shiftKey: true }, false, 'browser'],
    ['d', CTRL, true, 'terminal'],
    ['q', ALT_GR, false, 'terminal'],
    ['ArrowUp', ALT_GR, false, 'terminal'],
    ['Dead', ALT_GR, false, 'terminal'],
    ['@', { altKey: true }, false, 'terminal'],
    ['.', { altKey: true }, false, 'terminal'],
  ] as const)('%s with %j, selection %s: %s', (key, held, selected, kind) => {
    expect(keyMeaning(press(key, held), selected, false).kind).toBe(kind);
  });

  it.each(['@', '€', '{', '\\', 'ą', 'µ', '|'])('AltGr as Windows sends it gives %s', (text) => {
    expect(keyMeaning(press(text, ALT_GR), false, false)).toEqual({ kind: 'character', text });
  });

  it.each(['@', '|', '[', ']', '{', '}', '\\', '~', '#'])('Option on a Mac gives %s', (text) => {
    expect(keyMeaning(press(text, { altKey: true }), false, true)).toEqual({ kind: 'character', text });
    expect(keyMeaning(press(text, { altKey: true, shiftKey: true }), false, true)).toEqual({ kind: 'character', text });
    for (const other of [{}, { altKey: true, metaKey: true }, { altKey: true, type: 'keyup' }])
      expect(keyMeaning(press(text, other), false, true).kind).toBe('terminal');
  });

  it.each([
    ['b', { altKey: true }],
    ['1', { altKey: true }],
    [' ', { altKey: true }],
    ['≥', { altKey: true }],
    ['Enter', { altKey: true }],
    ['v', CTRL],
    ['V', { ctrlKey: true, shiftKey: true }],
  ] as const)("%s with %j on a Mac is the terminal's", (key, held) => {
    expect(keyMeaning(press(key, held), false, true).kind).toBe('terminal');
  });
});
