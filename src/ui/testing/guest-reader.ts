/**
 * Reads scan codes as the guest's kernel does with its own keymap (Linux 6.1, drivers/tty/vt), for tests of what reaches
 * the guest. It starts from the scan codes, so it shares no table with the code under test.
 */
const UNSHIFTED = "\0\x1b1234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./";
const SHIFTED = '\0\x1b!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:"~\0|ZXCVBNM<>?';
const SPACE = 0x39;
const CTRL = 0x1d;
const LEFT_SHIFT = 0x2a;
const RIGHT_SHIFT = 0x36;
const ALT = 0x38;
const CAPS_LOCK = 0x3a;
const EXTENDED = 0xe000;
/** The keypad's keys by scan code: digits. */
const KEYPAD: Readonly<Record<number, number>> = { 0x52: 0, 0x4f: 1, 0x50: 2, 0x51: 3, 0x4b: 4, 0x4c: 5, 0x4d: 6, 0x47: 7, 0x48: 8, 0x49: 9 };
const NAMED: Readonly<Record<number, string>> = {
  [EXTENDED | 0x47]: '<Home>',
  [EXTENDED | 0x48]: '<Up>',
  [EXTENDED | 0x4b]: '<Left>',
  [EXTENDED | 0x4d]: '<Right>',
  [EXTENDED | 0x50]: '<Down>',
  [EXTENDED | 0x53]: '<Delete>',
  [EXTENDED | 0x1c]: '\n',
  0x3b: '<F1>',
  0x3c: '<F2>',
};
const MODIFIERS = new Set([CTRL, LEFT_SHIFT, RIGHT_SHIFT, ALT, EXTENDED | CTRL, EXTENDED | ALT]);

export class GuestReader {
  /** What a program reads: characters; `^c` with Ctrl, `M-x` with Alt, `S-` before a named key with Shift. */
  text = '';
  /** Make codes in order, for tests of what is down and for how long. */
  readonly makes: number[] = [];
  private readonly down = new Set<number>();
  private capsLock = false;
  private prefix = false;
  private number: number | null = null;

  hear(codes: readonly number[]): void {
    for (const code of codes) {
      if (code === 0xe0) {
        this.prefix = true;
        continue;
      }
      const key = (this.prefix ? EXTENDED : 0) | (code & 0x7f);
      this.prefix = false;
      if ((code & 0x80) === 0) this.pressed(key);
      else this.released(key);
    }
  }

  /** Keys that are down. */
  held(): number[] {
    return [...this.down];
  }

  private pressed(key: number): void {
    this.down.add(key);
    this.makes.push(key);
    if (MODIFIERS.has(key)) return;
    const alt = this.down.has(ALT);
    const digit = KEYPAD[key];
    if (digit !== undefined) {
      if (alt) this.number = (this.number ?? 0) * 10 + digit;
      else this.text += `<keypad ${digit}>`;
      return;
    }
    if (key === CAPS_LOCK) {
      this.capsLock = !this.capsLock;
      return;
    }
    const shift = this.down.has(LEFT_SHIFT) || this.down.has(RIGHT_SHIFT);
    const control = this.down.has(CTRL) || this.down.has(EXTENDED | CTRL);
    // The kernel's AltGr map has nothing to type.
    if (this.down.has(EXTENDED | ALT)) {
      this.text += `<AltGr ${key}>`;
      return;
    }
    const named = NAMED[key];
    const letter = (UNSHIFTED[key] ?? '') >= 'a' && (UNSHIFTED[key] ?? '') <= 'z';
    const upper = letter ? shift !== this.capsLock : shift;
    const character = key === SPACE ? ' ' : (upper ? SHIFTED : UNSHIFTED)[key];
    const what = named ?? character ?? `<${key.toString(16)}>`;
    const prefix = named !== undefined && named.startsWith('<') && shift ? 'S-' : '';
    this.text += `${alt ? 'M-' : ''}${control ? '^' : ''}${prefix}${control ? what.toLowerCase() : what}`;
  }

  private released(key: number): void {
    this.down.delete(key);
    if (key !== ALT || this.number === null) return;
    this.text += String.fromCodePoint(this.number);
    this.number = null;
  }
}
