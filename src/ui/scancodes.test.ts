import { describe, expect, it } from 'vitest';
import { scancodes } from './scancodes.ts';

describe('scan codes, set 1', () => {
  it('sends a make code when a key goes down and the same with bit 7 set when it goes up', () => {
    expect(scancodes('KeyA', 'down')).toEqual([0x1e]);
    expect(scancodes('KeyA', 'up')).toEqual([0x9e]);
    expect(scancodes('Escape', 'down')).toEqual([0x01]);
    expect(scancodes('F12', 'up')).toEqual([0xd8]);
  });

  it('puts the prefix E0 before the keys of the larger keyboards', () => {
    expect(scancodes('ArrowUp', 'down')).toEqual([0xe0, 0x48]);
    expect(scancodes('ControlRight', 'up')).toEqual([0xe0, 0x9d]);
    expect(scancodes('NumpadEnter', 'down')).toEqual([0xe0, 0x1c]);
    expect(scancodes('Numpad8', 'down')).toEqual([0x48]);
  });

  it('knows the two keys with sequences of their own', () => {
    expect(scancodes('PrintScreen', 'down')).toEqual([0xe0, 0x2a, 0xe0, 0x37]);
    expect(scancodes('PrintScreen', 'up')).toEqual([0xe0, 0xb7, 0xe0, 0xaa]);
    expect(scancodes('Pause', 'down')).toEqual([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    expect(scancodes('Pause', 'up')).toEqual([]);
  });

  it('sends nothing for a key a PC keyboard does not have', () => {
    expect(scancodes('BrowserBack', 'down')).toEqual([]);
    expect(scancodes('toString', 'down')).toEqual([]);
  });

  it('gives every key a code of its own', () => {
    const keys = [
      'KeyQ',
      'KeyZ',
      'Digit1',
      'Minus',
      'Backquote',
      'IntlBackslash',
      'CapsLock',
      'AltLeft',
      'AltRight',
      'Delete',
      'NumpadDecimal',
      'F11',
      'MetaLeft',
    ];
    const codes = keys.map((key) => scancodes(key, 'down').join());
    expect(new Set(codes).size).toBe(keys.length);
  });
});
