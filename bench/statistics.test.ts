import { describe, expect, it } from 'vitest';
import { median, spread, table } from './statistics.ts';

describe('statistics of the benchmark', () => {
  it('takes the middle of an odd and the mean of the middle two of an even number of values', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([1, 2, 4, 9])).toBe(3);
    expect(spread([1.25, 3, 2], 1)).toBe('2.0 (1.3-3.0)');
    expect(spread([])).toBe('-');
  });

  it('aligns a table', () => {
    expect(table(['guest', 'ms'], [['idle', '5'], ['busy loop', '12']])).toBe(
      ['| guest     | ms |', '| --------- | -- |', '| idle      | 5  |', '| busy loop | 12 |'].join('\n'),
    );
  });
});
