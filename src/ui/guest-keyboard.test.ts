import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GuestKeyboard, TYPE_LIMIT_BYTES, type KeyboardOptions, type KeyStroke, type Verdict } from './guest-keyboard.ts';
import { GuestReader } from './testing/guest-reader.ts';

type Flags = Partial<Omit<KeyStroke, 'code' | 'key'>>;
const SHIFT: Flags = { shiftKey: true };
const CTRL: Flags = { ctrlKey: true };
const ALT: Flags = { altKey: true };
const ALTGR: Flags = { altGraph: true };
/** How Windows reports AltGr. */
const WINDOWS_ALTGR: Flags = { ctrlKey: true, altKey: true, altGraph: true };

class Person {
  readonly guest = new GuestReader();
  readonly keys: GuestKeyboard;

  constructor(options: KeyboardOptions = {}) {
    this.keys = new GuestKeyboard((codes) => this.guest.hear(codes), options);
  }

  down(code: string, key: string, flags: Flags = {}): Verdict {
    return this.keys.keyDown(stroke(code, key, flags));
  }

  up(code: string, key: string, flags: Flags = {}): Verdict {
    return this.keys.keyUp(stroke(code, key, flags));
  }

  /** Down and up. */
  press(code: string, key: string, flags: Flags = {}): Verdict {
    const verdict = this.down(code, key, flags);
    this.up(code, key, flags);
    return verdict;
  }
}

function stroke(code: string, key: string, flags: Flags): KeyStroke {
  return { code, key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, altGraph: false, isComposing: false, ...flags };
}

/** Presses keys one after the other with the modifiers really held; returns what the guest reads. */
function typed(keys: readonly (readonly [code: string, key: string, flags?: Flags])[], options?: KeyboardOptions): string {
  const person = new Person(options);
  for (const [code, key, flags = {}] of keys) {
    if (flags.ctrlKey === true) person.down('ControlLeft', 'Control', CTRL);
    if (flags.altGraph === true) person.down('AltRight', 'AltGraph', flags);
    else if (flags.altKey === true) person.down('AltLeft', 'Alt', { altKey: true, ctrlKey: flags.ctrlKey ?? false });
    if (flags.shiftKey === true) person.down('ShiftLeft', 'Shift', flags);
    person.press(code, key, flags);
    person.up('ShiftLeft', 'Shift', { ...flags, shiftKey: false });
    if (flags.ctrlKey === true) person.up('ControlLeft', 'Control', { ...flags, shiftKey: false, ctrlKey: false });
    if (flags.altGraph === true) person.up('AltRight', 'AltGraph');
    else if (flags.altKey === true) person.up('AltLeft', 'Alt');
  }
  expect(person.guest.held()).toEqual([]);
  return person.guest.text;
}

describe("a keyboard in front of the guest's screen", () => {
  it.each<[string, string, string, Flags, string]>([
    ['German z', 'KeyY', 'z', {}, 'z'],
    ['German y', 'KeyZ', 'y', {}, 'y'],
    ['German Shift+z', 'KeyY', 'Z', SHIFT, 'Z'],
    ['German AltGr+Q', 'KeyQ', '@', ALTGR, '@'],
    ['German AltGr+Q as Windows sends it', 'KeyQ', '@', WINDOWS_ALTGR, '@'],
    ['German AltGr+7', 'Digit7', '{', WINDOWS_ALTGR, '{'],
    ['German AltGr+E', 'KeyE', '€', ALTGR, '€'],
    ['German AltGr and <', 'IntlBackslash', '|', ALTGR, '|'],
    ['German ß', 'Minus', 'ß', {}, 'ß'],
    ['German Shift+ß', 'Minus', '?', SHIFT, '?'],
    ['German Shift+7', 'Digit7', '/', SHIFT, '/'],
    ['German Shift+2', 'Digit2', '"', SHIFT, '"'],
    ['German #', 'Backslash', '#', {}, '#'],
    ['German Ä', 'Quote', 'Ä', SHIFT, 'Ä'],
    ['German -', 'Slash', '-', {}, '-'],
    ['German Ctrl+Alt+Q (AltGr on a small keyboard)', 'KeyQ', '@', { ctrlKey: true, altKey: true }, '@'],
    ['AZERTY a', 'KeyQ', 'a', {}, 'a'],
    ['AZERTY m', 'Semicolon', 'm', {}, 'm'],
    ['AZERTY 1 with Shift', 'Digit1', '1', SHIFT, '1'],
    ['AZERTY & without', 'Digit1', '&', {}, '&'],
    ['AZERTY é', 'Digit2', 'é', {}, 'é'],
    ['AZERTY AltGr+0', 'Digit0', '@', ALTGR, '@'],
    ['Polish AltGr+L', 'KeyL', 'ł', WINDOWS_ALTGR, 'ł'],
    ['Russian', 'KeyF', 'а', {}, 'а'],
    ['Spanish ñ', 'Semicolon', 'ñ', {}, 'ñ'],
    ['CapsLock a', 'KeyA', 'A', {}, 'A'],
    ['CapsLock Shift+a', 'KeyA', 'a', SHIFT, 'a'],
    ['keypad 7 with NumLock', 'Numpad7', '7', {}, '7'],
    ['keypad comma', 'NumpadDecimal', ',', {}, ','],
    ['keypad 7 without NumLock', 'Numpad7', 'Home', {}, '<Home>'],
    ['keypad Enter', 'NumpadEnter', 'Enter', {}, '\n'],
    ["a phone's key, which has no place", '', 'q', {}, 'q'],
    ["a phone's Backspace", '', 'Backspace', {}, '\b'],
    ["a phone's Enter", '', 'Enter', {}, '\n'],
    ['US a', 'KeyA', 'a', {}, 'a'],
    ['US Shift+1', 'Digit1', '!', SHIFT, '!'],
    ['Shift+arrow', 'ArrowUp', 'ArrowUp', SHIFT, 'S-<Up>'],
    ['Escape on CapsLock', 'CapsLock', 'Escape', {}, '\x1b'],
  ])('%s', (_, code, key, flags, expected) => {
    expect(typed([[code, key, flags]])).toBe(expected);
  });

  it.each<[string, string, string, Flags, string]>([
    ['Ctrl+C', 'KeyC', 'c', CTRL, '^c'],
    ['Ctrl+Z on a German keyboard, by its letter', 'KeyY', 'z', CTRL, '^z'],
    ['Ctrl+A on AZERTY, by its letter', 'KeyQ', 'a', CTRL, '^a'],
    ['Ctrl+C on a Russian keyboard, by its place', 'KeyC', 'с', CTRL, '^c'],
    ['Ctrl+C with CapsLock', 'KeyC', 'C', CTRL, '^c'],
    ['Ctrl+Shift+C', 'KeyC', 'C', { ...CTRL, ...SHIFT }, '^c'],
    ['Ctrl+/ as German Ctrl+Shift+7', 'Digit7', '/', { ...CTRL, ...SHIFT }, '^/'],
    ['Ctrl+[ as Ctrl+AltGr+8 where AltGr is itself', 'Digit8', '[', { ctrlKey: true, altGraph: true }, '^['],
    ['Alt+x', 'KeyX', 'x', ALT, 'M-x'],
    ['Alt+z on a German keyboard, by its letter', 'KeyY', 'z', ALT, 'M-z'],
    ['Alt+. ', 'Period', '.', ALT, 'M-.'],
    ['Alt+F2', 'F2', 'F2', ALT, 'M-<F2>'],
    ['Ctrl+Alt+x', 'KeyX', 'x', { ...CTRL, ...ALT }, 'M-^x'],
    ['Ctrl+arrow', 'ArrowLeft', 'ArrowLeft', CTRL, '^<left>'],
    ['Ctrl+Alt+Delete', 'Delete', 'Delete', { ...CTRL, ...ALT }, 'M-^<delete>'],
  ])('%s is a shortcut', (_, code, key, flags, expected) => {
    expect(typed([[code, key, flags]])).toBe(expected);
  });

  it.each<[string, string, string, string]>([
    ['Option+L on a German Mac', 'KeyL', '@', '@'],
    ['Option+7 on a German Mac', 'Digit7', '|', '|'],
    ['Option+E on a German Mac', 'KeyE', '€', '€'],
  ])('%s types what it gives', (_, code, key, expected) => {
    expect(typed([[code, key, ALT]], { mac: true })).toBe(expected);
  });

  it('types a whole line of a German keyboard, with fingers that overlap', () => {
    const person = new Person();
    person.down('KeyZ', 'y');
    person.down('KeyY', 'z');
    person.up('KeyZ', 'y');
    person.down('ShiftLeft', 'Shift', SHIFT);
    person.down('Digit7', '/', SHIFT);
    person.up('KeyY', 'Z', SHIFT);
    person.up('ShiftLeft', 'Shift');
    person.up('Digit7', '7');
    person.press('Minus', 'ß');
    expect(person.guest.text).toBe('yz/ß');
    expect(person.guest.held()).toEqual([]);
  });

  it('keeps a key down in the guest as long as the finger does, and repeats it', () => {
    const person = new Person();
    person.down('KeyY', 'z');
    expect(person.guest.held()).toEqual([0x2c]);
    person.down('KeyY', 'z');
    expect(person.guest.text).toBe('zz');
    person.up('KeyY', 'z');
    expect(person.guest.held()).toEqual([]);
  });

  it('leaves CapsLock and NumLock to the person, since what is typed shows them', () => {
    const person = new Person();
    expect(person.press('CapsLock', 'CapsLock')).toBe('browser');
    expect(person.press('NumLock', 'NumLock')).toBe('browser');
    expect(person.guest.makes).toEqual([]);
  });

  it("leaves the keys of the person's system to it", () => {
    const person = new Person();
    expect(person.press('MetaLeft', 'Meta')).toBe('browser');
    expect(person.press('KeyR', 'r', { metaKey: true })).toBe('browser');
    expect(person.press('AudioVolumeUp', 'AudioVolumeUp')).toBe('browser');
    expect(person.guest.makes).toEqual([]);
  });

  it.each<[string, string, string, Flags]>([
    ['Ctrl+Shift+V', 'KeyV', 'V', { ...CTRL, ...SHIFT }],
    ['Shift+Insert', 'Insert', 'Insert', SHIFT],
    ['Command+V', 'KeyV', 'v', { metaKey: true }],
  ])('leaves %s to the browser, which pastes', (_, code, key, flags) => {
    const person = new Person();
    expect(person.press(code, key, flags)).toBe('browser');
    expect(person.guest.text).toBe('');
  });

  it('gives Ctrl+V to the guest', () => {
    expect(typed([['KeyV', 'v', CTRL]])).toBe('^v');
  });

  it('lets the browser compose after a dead key, and types what comes of it', () => {
    const person = new Person();
    expect(person.press('Equal', 'Dead')).toBe('text');
    expect(person.down('ShiftLeft', 'Shift', SHIFT)).toBe('guest');
    expect(person.press('KeyE', 'É', SHIFT)).toBe('text');
    person.keys.type('É');
    person.up('ShiftLeft', 'Shift');
    expect(person.press('KeyE', 'e')).toBe('guest');
    expect(person.guest.text).toBe('Ée');
    expect(person.guest.held()).toEqual([]);
  });

  it.each(['Process', 'Unidentified'])('leaves a key called %s to an input method', (key) => {
    const person = new Person();
    expect(person.press(key === 'Process' ? 'KeyN' : '', key)).toBe('text');
    expect(person.press('Enter', 'Enter', { isComposing: true })).toBe('text');
    expect(person.guest.makes).toEqual([]);
  });

  it('types text, lines and tabs, and says what no keyboard can type', () => {
    const person = new Person();
    expect(person.keys.type('Grüße\r\n\t漢😀~\u0007\u001b\u0007')).toEqual(['\u0007', '\u001b']);
    expect(person.guest.text).toBe('Grüße\n\t漢😀~');
  });

  it('types text the same while Shift, Ctrl or Alt is held, which are down again afterwards', () => {
    const person = new Person();
    person.down('ControlLeft', 'Control', CTRL);
    person.down('ShiftLeft', 'Shift', { ...CTRL, ...SHIFT });
    person.keys.type('aB/ß');
    expect(person.guest.text).toBe('aB/ß');
    expect(person.guest.held().sort()).toEqual([0x1d, 0x2a]);
  });

  it('refuses a text that is too long as a whole', () => {
    const person = new Person();
    expect(() => person.keys.type('ß'.repeat(TYPE_LIMIT_BYTES / 2) + 'a')).toThrow(RangeError);
    expect(person.guest.makes).toEqual([]);
    expect(person.keys.type('a'.repeat(TYPE_LIMIT_BYTES))).toEqual([]);
    expect(person.guest.text.length).toBe(TYPE_LIMIT_BYTES);
  });

  it('lets go of everything when the focus goes, and a key-up that comes later does nothing', () => {
    const person = new Person();
    person.down('ControlRight', 'Control', CTRL);
    person.down('KeyA', 'a', CTRL);
    person.keys.releaseAll();
    expect(person.guest.held()).toEqual([]);
    const heard = person.guest.text;
    expect(person.up('ControlRight', 'Control')).toBe('guest');
    expect(person.guest.text).toBe(heard);
    expect(person.guest.held()).toEqual([]);
  });

  it('takes up a modifier that is still held when the focus comes back', () => {
    const person = new Person();
    person.down('KeyC', 'c', CTRL);
    expect(person.guest.text).toBe('^c');
    person.up('KeyC', 'c', CTRL);
    person.up('ControlRight', 'Control');
    expect(person.guest.held()).toEqual([]);
  });

  it('lets go of a modifier whose key-up went elsewhere, with the next key', () => {
    const person = new Person();
    person.down('AltLeft', 'Alt', ALT);
    person.press('KeyA', 'a');
    expect(person.guest.text).toBe('a');
    expect(person.guest.held()).toEqual([]);
  });

  it('gives the keyboard back after Ctrl and Alt, and not after AltGr or a shortcut', () => {
    const person = new Person();
    person.down('ControlLeft', 'Control', CTRL);
    person.down('AltLeft', 'Alt', { ...CTRL, ...ALT });
    expect(person.up('AltLeft', 'Alt', CTRL)).toBe('leave');
    person.keys.releaseAll();

    person.down('ControlLeft', 'Control', CTRL);
    person.down('AltRight', 'AltGraph', WINDOWS_ALTGR);
    expect(person.up('ControlLeft', 'Control', { altKey: true, altGraph: true })).not.toBe('leave');
    expect(person.up('AltRight', 'AltGraph')).not.toBe('leave');

    person.down('ControlLeft', 'Control', CTRL);
    person.down('AltLeft', 'Alt', { ...CTRL, ...ALT });
    person.press('F2', 'F2', { ...CTRL, ...ALT });
    expect(person.up('AltLeft', 'Alt', CTRL)).not.toBe('leave');
  });

  it('presses a key of the bar by itself, whatever is held', () => {
    const person = new Person();
    person.down('ShiftLeft', 'Shift', SHIFT);
    person.keys.tap('KeyC', true);
    person.keys.tap('ArrowUp');
    expect(person.guest.text).toBe('^c<Up>');
    expect(person.guest.held()).toEqual([0x2a]);
  });

  it('has nothing down once every finger is up, whatever was pressed in whatever order', () => {
    const codes = ['KeyA', 'KeyY', 'Digit7', 'Minus', 'ShiftLeft', 'ShiftRight', 'ControlLeft', 'ControlRight', 'AltLeft', 'ArrowUp', 'Numpad7'];
    const names: Readonly<Record<string, string>> = {
      ShiftLeft: 'Shift',
      ShiftRight: 'Shift',
      ControlLeft: 'Control',
      ControlRight: 'Control',
      AltLeft: 'Alt',
      ArrowUp: 'ArrowUp',
    };
    const characters = fc.constantFrom('a', 'A', 'z', '/', 'ß', '7', 'Home', 'Dead', '@');
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...codes), characters), { maxLength: 30 }), fc.boolean(), (presses, mac) => {
        const person = new Person({ mac });
        const fingers = new Set<string>();
        const flags = (): Flags => ({
          shiftKey: fingers.has('ShiftLeft') || fingers.has('ShiftRight'),
          ctrlKey: fingers.has('ControlLeft') || fingers.has('ControlRight'),
          altKey: fingers.has('AltLeft'),
        });
        for (const [code, character] of presses) {
          const key = names[code] ?? character;
          if (fingers.delete(code)) person.up(code, key, flags());
          else {
            fingers.add(code);
            person.down(code, key, flags());
          }
        }
        for (const code of [...fingers]) {
          fingers.delete(code);
          person.up(code, names[code] ?? 'x', flags());
        }
        expect(person.guest.held()).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
