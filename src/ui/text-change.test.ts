import { describe, expect, it } from 'vitest';
import { textChange } from './text-change.ts';

describe('what was done to a text', () => {
  it.each([
    ['', 'a', 0, 'a'],
    ['__', '__', 0, ''],
    ['__', '_', 1, ''],
    ['__hel', '__hello', 0, 'lo'],
    ['__teh', '__the ', 2, 'he '],
    ['__', '', 2, ''],
    ['__😀', '__😁', 1, '😁'],
    ['__e', '__é', 1, 'é'],
  ])('%j → %j', (before, after, erased, typed) => {
    expect(textChange(before, after)).toEqual({ erased, typed });
  });
});
