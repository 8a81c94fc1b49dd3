/** The text mode of the guest's screen: a grid of characters, drawn with the font in the guest's video memory. */
import { CODE_PAGE_437 } from './code-page-437.ts';

/** Cursor and blinking characters change this often, as on real VGA (about twice a second on, twice off). */
const BLINK_MS = 266;
/** Bytes of one glyph in VGA font memory, whatever its height. */
const GLYPH_BYTES = 32;
const GLYPHS_PER_PAGE = 256;
/** In 9 pixel fonts, these line-drawing characters repeat their eighth column in the ninth. */
const LINE_DRAWING_FIRST = 0xc0;
const LINE_DRAWING_LAST = 0xdf;

export interface TextFont {
  /** Lines per glyph, 1 to 32. */
  readonly height: number;
  readonly width: 8 | 9 | 16;
  readonly copyEighth: boolean;
  /** VGA plane 2: eight pages of 256 glyphs of 32 bytes; the guest's memory, read when a row is drawn. */
  readonly bitmap: Uint8Array;
}

export class TextScreen {
  /** Flags of a character. */
  static readonly BLINKING = 1;
  static readonly SECOND_FONT = 2;

  private columns = 80;
  private rows = 25;
  private characters = new Uint8Array(80 * 25);
  private flags = new Uint8Array(80 * 25);
  /** 0xRRGGBB. */
  private background = new Uint32Array(80 * 25);
  private foreground = new Uint32Array(80 * 25);
  private changed = new Uint8Array(25).fill(1);
  private font: TextFont | null = null;
  private pages: readonly [number, number] = [0, 0];
  private cursor = { row: 0, column: 0, start: 0, end: 0, visible: false };
  private lit = true;
  private blinkedAt = 0;

  get size(): { readonly width: number; readonly height: number } {
    return this.font === null ? { width: 0, height: 0 } : { width: this.columns * this.font.width, height: this.rows * this.font.height };
  }

  /** One string per row, as Unicode. */
  lines(): string[] {
    return Array.from({ length: this.rows }, (_, row) =>
      Array.from(this.characters.subarray(row * this.columns, (row + 1) * this.columns), (code) => CODE_PAGE_437.charAt(code)).join(''),
    );
  }

  resize(columns: number, rows: number): void {
    if (columns === this.columns && rows === this.rows) return;
    this.columns = columns;
    this.rows = rows;
    this.characters = new Uint8Array(columns * rows);
    this.flags = new Uint8Array(columns * rows);
    this.background = new Uint32Array(columns * rows);
    this.foreground = new Uint32Array(columns * rows);
    this.changed = new Uint8Array(rows).fill(1);
  }

  put(row: number, column: number, character: number, flags: number, background: number, foreground: number): void {
    if (row < 0 || row >= this.rows || column < 0 || column >= this.columns) return;
    const at = row * this.columns + column;
    this.characters[at] = character;
    this.flags[at] = flags;
    this.background[at] = background;
    this.foreground[at] = foreground;
    this.changed[row] = 1;
  }

  setFont(font: TextFont, changed: boolean): void {
    const old = this.font;
    if (!changed && old !== null && old.height === font.height && old.width === font.width && old.copyEighth === font.copyEighth) return;
    this.font = font;
    this.redraw();
  }

  setFontPages(first: number, second: number): void {
    if (this.pages[0] === first && this.pages[1] === second) return;
    this.pages = [first, second];
    this.redraw();
  }

  /** The cursor may be outside the grid: then it is not seen. */
  moveCursor(row: number, column: number): void {
    this.touch(this.cursor.row);
    this.touch(row);
    this.cursor = { ...this.cursor, row, column };
  }

  /** First and last line of the cursor within its cell. */
  setCursorShape(start: number, end: number, visible: boolean): void {
    this.cursor = { ...this.cursor, start, end, visible };
    this.touch(this.cursor.row);
  }

  /** Draws everything again next time. */
  redraw(): void {
    this.changed.fill(1);
  }

  /** Turns what blinks on or off when it is time to. */
  blink(now: number): void {
    if (now - this.blinkedAt < BLINK_MS) return;
    this.blinkedAt = now;
    this.lit = !this.lit;
    if (this.cursor.visible) this.touch(this.cursor.row);
    for (let at = 0; at < this.flags.length; at++) {
      if (((this.flags[at] ?? 0) & TextScreen.BLINKING) !== 0) this.touch(Math.floor(at / this.columns));
    }
  }

  /** Hands every row that changed to `put` as RGBA pixels, `height` lines from line `y` on. */
  draw(put: (pixels: Uint8ClampedArray<ArrayBuffer>, width: number, height: number, y: number) => void): void {
    const font = this.font;
    if (font === null) return;
    const width = this.columns * font.width;
    for (let row = 0; row < this.rows; row++) {
      if (this.changed[row] === 0) continue;
      this.changed[row] = 0;
      const pixels = new Uint32Array(width * font.height);
      this.drawRow(row, font, pixels, width);
      put(new Uint8ClampedArray(pixels.buffer), width, font.height, row * font.height);
    }
  }

  private drawRow(row: number, font: TextFont, pixels: Uint32Array, width: number): void {
    for (let column = 0; column < this.columns; column++) {
      const at = row * this.columns + column;
      const character = this.characters[at] ?? 0;
      const flags = this.flags[at] ?? 0;
      const page = (flags & TextScreen.SECOND_FONT) === 0 ? this.pages[0] : this.pages[1];
      const glyph = (page * GLYPHS_PER_PAGE + character) * GLYPH_BYTES;
      const hidden = (flags & TextScreen.BLINKING) !== 0 && !this.lit;
      const ink = rgba(this.foreground[at] ?? 0);
      const paper = rgba(this.background[at] ?? 0);
      const cursor = this.cursor;
      const cursorHere = cursor.visible && this.lit && cursor.row === row && cursor.column === column;
      const ninth = font.width === 9 && font.copyEighth && character >= LINE_DRAWING_FIRST && character <= LINE_DRAWING_LAST;
      for (let line = 0; line < font.height; line++) {
        let bits = hidden ? 0 : (font.bitmap[glyph + line] ?? 0);
        if (cursorHere && line >= cursor.start && line <= cursor.end) bits = 0xff;
        let to = line * width + column * font.width;
        for (let mask = 0x80; mask !== 0; mask >>= 1) {
          const colour = (bits & mask) === 0 ? paper : ink;
          pixels[to++] = colour;
          if (font.width === 16) pixels[to++] = colour;
        }
        const cursorLine = cursorHere && line >= cursor.start && line <= cursor.end;
        if (font.width === 9) pixels[to] = cursorLine || (ninth && (bits & 1) !== 0) ? ink : paper;
      }
    }
  }

  private touch(row: number): void {
    if (row >= 0 && row < this.rows) this.changed[row] = 1;
  }
}

/** 0xRRGGBB as the little-endian word of an opaque RGBA pixel. */
function rgba(colour: number): number {
  return (0xff000000 | ((colour & 0xff) << 16) | (colour & 0xff00) | ((colour >> 16) & 0xff)) >>> 0;
}
