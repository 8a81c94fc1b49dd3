import { describe, expect, it } from 'vitest';
import { fontSizeFor } from './terminal-size.ts';

describe("the console's letters", () => {
  it('are as large as 80 columns and 15 rows allow', () => {
    expect(fontSizeFor(1_000, 2_000)).toBe(20);
    expect(fontSizeFor(4_000, 300)).toBe(16);
  });

  it('stay readable on a telephone and modest on a wall', () => {
    expect(fontSizeFor(340, 500)).toBe(13);
    expect(fontSizeFor(4_000, 4_000)).toBe(22);
  });
});
