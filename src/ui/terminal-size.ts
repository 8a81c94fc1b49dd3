/** How large the console's font may be. */

/** The width that programs on a serial line assume. */
const COLUMNS = 80;
/** Fewer than 24 rows are acceptable (the wheel scrolls to the rest); letters too small for the last row of a hall are not. */
const ROWS = 15;
/** Size of a monospace letter, relative to the font size. */
const LETTER_WIDTH = 0.605;
const LINE_HEIGHT = 1.18;
const SMALLEST_PX = 13;
const LARGEST_PX = 22;
/** A console in another tab's size is shown whole: a small picture is better than a cut one. */
const SMALLEST_SCALED_PX = 3;
/** Steps in which a scaled font is made smaller until everything fits. */
const SCALE_STEP_PX = 0.5;
/** Room for the scroll bar and the frame. */
const MARGIN_PX = 22;

/** The largest font size, in CSS pixels, at which 80 columns and 15 rows fit; never too small to be read. */
export function fontSizeFor(width: number, height: number): number {
  return Math.max(SMALLEST_PX, Math.min(LARGEST_PX, Math.floor(largestFor(width, height, COLUMNS, ROWS))));
}

/** The font size to begin with for a console that has another tab's size; it may prove a little too large. */
export function scaledFontSizeFor(width: number, height: number, size: { readonly cols: number; readonly rows: number }): number {
  const largest = largestFor(width, height, size.cols, size.rows);
  return Math.max(SMALLEST_SCALED_PX, Math.min(LARGEST_PX, Math.ceil(largest / SCALE_STEP_PX) * SCALE_STEP_PX));
}

/** The next smaller one; null if there is none. */
export function smallerFontSize(size: number): number | null {
  return size - SCALE_STEP_PX < SMALLEST_SCALED_PX ? null : size - SCALE_STEP_PX;
}

function largestFor(width: number, height: number, cols: number, rows: number): number {
  return Math.min((width - MARGIN_PX) / (cols * LETTER_WIDTH), height / (rows * LINE_HEIGHT));
}
