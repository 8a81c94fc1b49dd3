import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { watchParent } from './parent-watch.ts';

describe('the watch over the parent process', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('tells once that the parent has gone', () => {
    let parent = 10;
    const gone = vi.fn();
    watchParent(gone, () => parent);
    vi.advanceTimersByTime(10_000);
    expect(gone).not.toHaveBeenCalled();
    parent = 1;
    vi.advanceTimersByTime(10_000);
    expect(gone).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('tells nothing after it was disposed', () => {
    let parent = 10;
    const gone = vi.fn();
    watchParent(gone, () => parent).dispose();
    parent = 1;
    vi.advanceTimersByTime(10_000);
    expect(gone).not.toHaveBeenCalled();
  });
});
