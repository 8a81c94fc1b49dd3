import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { repeat } from './repeat.ts';

describe('repeat', () => {
  it('calls again and again until it is disposed of, also from within a call, and leaves no timer', () => {
    const clock = new VirtualClock();
    const calls: number[] = [];
    const repeating = repeat(clock, 100, () => {
      calls.push(clock.now());
      if (calls.length === 3) repeating.dispose();
    });
    while (clock.fireNext());
    expect(calls).toEqual([1100, 1200, 1300]);
    expect(clock.pending).toBe(0);
  });
});
