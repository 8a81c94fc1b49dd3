import { describe, expect, it } from 'vitest';
import { fontSizeFor, scaledFontSizeFor, smallerFontSize } from './terminal-size.ts';

describe("the console's letters", () => {
  it('are as large as 80 columns and 15 rows allow', () => {
    expect(fontSizeFor(1_000, 2_000)).toBe(20);
    expect(fontSizeFor(4_000, 300)).toBe(16);
  });

  it('stay readable on a telephone and modest on a wall', () => {
    expect(fontSizeFor(340, 500)).toBe(13);
    expect(fontSizeFor(4_000, 4_000)).toBe(22);
  });

  it("are scaled until another tab's columns and rows fit, and never become larger than one's own", () => {
    expect(scaledFontSizeFor(1_000, 600, { cols: 160, rows: 20 })).toBe(10.5);
    expect(scaledFontSizeFor(1_000, 600, { cols: 40, rows: 60 })).toBe(8.5);
    expect(scaledFontSizeFor(2_000, 1_000, { cols: 31, rows: 20 })).toBe(22);
    expect(scaledFontSizeFor(100, 100, { cols: 300, rows: 100 })).toBe(3);
    expect(smallerFontSize(8.5)).toBe(8);
    expect(smallerFontSize(3)).toBe(null);
  });
});
