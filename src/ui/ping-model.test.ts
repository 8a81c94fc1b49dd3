import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PING_WINDOW_MS, PingHistory, pingScale } from './ping-model.ts';

describe('the ping strip', () => {
  it('draws the slowest answer and the losses of each slice of time, oldest first', () => {
    const history = new PingHistory();
    history.add({ seq: 1, rttMs: 1 }, 50_100);
    history.add({ seq: 2, rttMs: 34 }, 50_200);
    history.add({ seq: 3, rttMs: null }, 59_500);
    const bars = history.bars(59_900, 60);
    expect(bars[50]).toEqual({ worstMs: 34, lost: 0 });
    expect(bars[59]).toEqual({ worstMs: null, lost: 1 });
    expect(bars.filter((bar) => bar !== null)).toHaveLength(2);
  });

  it('keeps a bar in its slice as time goes on, so that bars move by whole slices', () => {
    const history = new PingHistory();
    history.add({ seq: 4, rttMs: 1 }, 50_100);
    history.add({ seq: 5, rttMs: 2 }, 50_900);
    for (const now of [51_000, 51_500, 51_999]) expect(history.bars(now, 60)[58]).toEqual({ worstMs: 2, lost: 0 });
    expect(history.bars(52_000, 60)[57]).toEqual({ worstMs: 2, lost: 0 });
  });

  it('counts answers and losses of the last minute only', () => {
    const history = new PingHistory();
    history.add({ seq: 6, rttMs: 900 }, 0);
    history.add({ seq: 7, rttMs: 2 }, PING_WINDOW_MS);
    history.add({ seq: 8, rttMs: 4 }, PING_WINDOW_MS + 1);
    history.add({ seq: 9, rttMs: null }, PING_WINDOW_MS + 2);
    expect(history.summary(PING_WINDOW_MS + 10)).toEqual({ lastMs: null, medianMs: 4, worstMs: 4, answered: 2, lost: 1 });
    expect(new PingHistory().summary(0)).toEqual({ lastMs: null, medianMs: null, worstMs: null, answered: 0, lost: 0 });
  });

  it('takes nothing for lost that a guest leaves unanswered while it starts, but does after a while', () => {
    const starting = new PingHistory();
    starting.add({ seq: 1, rttMs: null }, 0);
    starting.add({ seq: 3, rttMs: 3 }, 2_000);
    starting.add({ seq: 2, rttMs: null }, 2_500);
    expect(starting.summary(3_000)).toMatchObject({ answered: 1, lost: 0 });
    starting.add({ seq: 4, rttMs: null }, 3_000);
    expect(starting.summary(4_000)).toMatchObject({ answered: 1, lost: 1 });
    const dead = new PingHistory();
    for (let at = 0; at <= 20_000; at += 1_000) dead.add({ seq: at, rttMs: null }, at);
    expect(dead.summary(20_000).lost).toBe(6);
  });

  it('does not grow without end, however fast the beat', () => {
    const history = new PingHistory();
    for (let at = 0; at < 20_000; at++) history.add({ seq: at, rttMs: 1 }, at);
    const { answered } = history.summary(20_000);
    expect(answered).toBeLessThanOrEqual(6_000);
  });

  it('has a scale of 1, 2 or 5 of a decade that holds the worst answer', () => {
    expect(pingScale(null)).toBe(10);
    expect(pingScale(34)).toBe(50);
    expect(pingScale(101)).toBe(200);
    expect(pingScale(600)).toBe(1000);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (worst) => {
        expect(pingScale(worst)).toBeGreaterThanOrEqual(worst);
        expect(pingScale(worst)).toBeLessThanOrEqual(Math.max(10, worst * 2.5));
      }),
    );
  });
});
