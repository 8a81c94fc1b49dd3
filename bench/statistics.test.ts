import { describe, expect, it } from 'vitest';
import { median, percentile, spread, table } from './statistics.ts';

describe('statistics of the benchmark', () => {
  it('takes the middle of an odd and the mean of the middle two of an even number of values', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([1, 2, 4, 9])).toBe(3);
    expect(spread([1.25, 3, 2], 1)).toBe('2.0 (1.3-3.0)');
    expect(spread([])).toBe('-');
  });

  it('takes the nearest rank as a percentile', () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index);
    expect([percentile(values, 50), percentile(values, 99), percentile(values, 100)]).toEqual([100, 198, 200]);
    expect(percentile([7], 99)).toBe(7);
    expect(percentile([], 99)).toBeNaN();
  });

  it('aligns a table', () => {
    expect(
      table(
        ['guest', 'ms'],
        [
          ['idle', '5'],
          ['busy loop', '12'],
        ],
      ),
    ).toBe(['| guest     | ms |', '| --------- | -- |', '| idle      | 5  |', '| busy loop | 12 |'].join('\n'));
  });
});
