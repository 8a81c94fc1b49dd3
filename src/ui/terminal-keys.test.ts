import { describe, expect, it } from 'vitest';
import { keyMeaning, type KeyPress } from './terminal-keys.ts';

function press(key: string, held: Partial<KeyPress> = {}): KeyPress {
  return { type: 'keydown', key, ctrlKey: false, altKey: false, shiftKey: false, metaKey: false, ...held };
}
const CTRL = { ctrlKey: true };
const ALT_GR = { ctrlKey: true, altKey: true };

describe("the terminal's keys", () => {
  it.each([
    ['a', {}, false, 'terminal'], ['Tab', {}, false, 'terminal'], ['Escape', {}, false, 'terminal'], ['Dead', {}, false, 'terminal'],
    ['Tab', { shiftKey: true }, false, 'browser'],
    ['c', CTRL, false, 'terminal'], ['c', CTRL, true, 'copy'], ['C', { ctrlKey: true, shiftKey: true }, true, 'copy'], ['C', { ctrlKey: true, shiftKey: true }, false, 'copy'],
    ['c', { ctrlKey: true, type: 'keyup' }, true, 'terminal'], ['c', { metaKey: true }, true, 'terminal'],
    ['v', CTRL, false, 'browser'], ['V', { ctrlKey: true, shiftKey: true }, false, 'browser'],
    ['d', CTRL, true, 'terminal'], ['q', ALT_GR, false, 'terminal'], ['ArrowUp', ALT_GR, false, 'terminal'], ['Dead', ALT_GR, false, 'terminal'],
    ['@', { altKey: true }, false, 'terminal'],
  ] as const)('%s with %j, selection %s: %s', (key, held, selected, kind) => {
    expect(keyMeaning(press(key, held), selected).kind).toBe(kind);
  });

  it.each(['@', '€', '{', '\\', 'ą', 'µ', '|'])('AltGr as Windows sends it gives %s', (text) => {
    expect(keyMeaning(press(text, ALT_GR), false)).toEqual({ kind: 'character', text });
  });
});
