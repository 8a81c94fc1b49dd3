/** How large the console's letters may be. */

/** What programs on a serial line take for granted. */
const COLUMNS = 80;
/** Fewer than 24 are bearable (the rest is a turn of the wheel away), letters too small for the last row of a hall are not. */
const ROWS = 15;
/** Of a monospace letter, as shares of the font size. */
const LETTER_WIDTH = 0.605;
const LINE_HEIGHT = 1.18;
const SMALLEST_PX = 13;
const LARGEST_PX = 22;
/** Room for the scroll bar and the frame. */
const MARGIN_PX = 22;

/** The largest font size, in CSS pixels, at which 80 columns and 15 rows fit; never too small to be read. */
export function fontSizeFor(width: number, height: number): number {
  const byWidth = (width - MARGIN_PX) / (COLUMNS * LETTER_WIDTH);
  const byHeight = height / (ROWS * LINE_HEIGHT);
  return Math.max(SMALLEST_PX, Math.min(LARGEST_PX, Math.floor(Math.min(byWidth, byHeight))));
}
