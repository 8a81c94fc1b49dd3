import { describe, expect, it } from 'vitest';
import { TextScreen } from './text-screen.ts';

const WHITE = 0xffffff;
const BLUE = 0x0000aa;

/** A font in which line 0 of character c shows c's bits, line 1 the same inverted, and everything else is empty. */
function testFont(): Uint8Array {
  const bitmap = new Uint8Array(8 * 256 * 32);
  for (let page = 0; page < 8; page++) {
    for (let code = 0; code < 256; code++) {
      bitmap[(page * 256 + code) * 32] = code;
      bitmap[(page * 256 + code) * 32 + 1] = page === 0 ? code ^ 0xff : page;
    }
  }
  return bitmap;
}

function setUp(width: 8 | 9 | 16 = 8, copyEighth = false) {
  const screen = new TextScreen();
  screen.resize(4, 3);
  screen.setFont({ height: 2, width, copyEighth, bitmap: testFont() }, true);
  return screen;
}

/** The rows that were drawn: y, and each line as a string of `#` (ink) and `.` (paper). */
function drawn(screen: TextScreen, ink = WHITE): { y: number; lines: string[] }[] {
  const rows: { y: number; lines: string[] }[] = [];
  screen.draw((pixels, width, height, y) => {
    const lines = Array.from({ length: height }, (_, line) =>
      Array.from({ length: width }, (_, x) => {
        const at = (line * width + x) * 4;
        expect(pixels[at + 3]).toBe(255);
        const colour = ((pixels[at] ?? 0) << 16) | ((pixels[at + 1] ?? 0) << 8) | (pixels[at + 2] ?? 0);
        return colour === ink ? '#' : '.';
      }).join(''),
    );
    rows.push({ y, lines });
  });
  return rows;
}

describe('TextScreen', () => {
  it("draws the guest's own font in the character's colours", () => {
    const screen = setUp();
    screen.put(1, 2, 0b10100001, 0, BLUE, WHITE);
    const rows = drawn(screen);
    expect(rows.map((row) => row.y)).toEqual([0, 2, 4]);
    expect(rows[1]!.lines[0]!.slice(16, 24)).toBe('#.#....#');
    expect(rows[1]!.lines[1]!.slice(16, 24)).toBe('.#.####.');
  });

  it('draws only the rows that changed', () => {
    const screen = setUp();
    drawn(screen);
    expect(drawn(screen)).toEqual([]);
    screen.put(2, 0, 65, 0, BLUE, WHITE);
    expect(drawn(screen).map((row) => row.y)).toEqual([4]);
  });

  it('repeats the eighth column in the ninth for line-drawing characters only', () => {
    const screen = setUp(9, true);
    screen.put(0, 0, 0xc1, 0, BLUE, WHITE);
    screen.put(0, 1, 0x41, 0, BLUE, WHITE);
    expect(drawn(screen)[0]!.lines[0]!.slice(0, 18)).toBe('##.....##' + '.#.....#.');
  });

  it('doubles the columns of a 40 column font', () => {
    const screen = setUp(16);
    screen.put(0, 0, 0b10000001, 0, BLUE, WHITE);
    expect(drawn(screen)[0]!.lines[0]!.slice(0, 16)).toBe('##............##');
  });

  it('takes a character marked so from the second font', () => {
    const screen = setUp();
    screen.setFontPages(0, 3);
    screen.put(0, 0, 65, TextScreen.SECOND_FONT, BLUE, WHITE);
    expect(drawn(screen)[0]!.lines[1]!.slice(0, 8)).toBe('......##');
  });

  it('shows the cursor, hides it and blinking characters in turn, and leaves the rest alone', () => {
    const screen = setUp();
    screen.put(1, 0, 0xff, TextScreen.BLINKING, BLUE, WHITE);
    screen.put(0, 3, 0, 0, BLUE, WHITE);
    screen.moveCursor(0, 3);
    screen.setCursorShape(1, 1, true);
    let rows = drawn(screen);
    expect(rows[0]!.lines[1]!.slice(24)).toBe('########');
    expect(rows[1]!.lines[0]!.slice(0, 8)).toBe('########');
    screen.blink(100);
    expect(drawn(screen)).toEqual([]);
    screen.blink(300);
    rows = drawn(screen);
    expect(rows.map((row) => row.y)).toEqual([0, 2]);
    expect(rows[1]!.lines[0]!.slice(0, 8)).toBe('........');
    screen.blink(600);
    expect(drawn(screen)[1]!.lines[0]!.slice(0, 8)).toBe('########');
  });

  it('accepts a cursor and characters outside the grid without showing them', () => {
    const screen = setUp();
    drawn(screen);
    screen.put(3, 0, 65, 0, BLUE, WHITE);
    screen.put(0, 4, 65, 0, BLUE, WHITE);
    screen.moveCursor(7, 7);
    screen.setCursorShape(0, 1, true);
    expect(drawn(screen).map((row) => row.y)).toEqual([0]);
  });

  it('gives its text as Unicode', () => {
    const screen = setUp();
    for (const [column, code] of [0x48, 0x81, 0xc9, 0].entries()) screen.put(0, column, code, 0, 0, WHITE);
    expect(screen.lines()).toEqual(['Hü╔ ', '    ', '    ']);
  });
});
