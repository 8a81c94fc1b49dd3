import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import { BEATEN_AT_ONCE, HEARTBEAT_MS, Heartbeats } from './heartbeats.ts';

/** Heartbeats of `open` items, and when each item was beaten. */
function watch(open: Set<number>): {
  readonly clock: VirtualClock;
  readonly beaten: Map<number, number[]>;
  readonly besides: number[];
  readonly beats: Heartbeats<number>;
  readonly pass: (ms: number) => void;
} {
  const clock = new VirtualClock(0);
  const beaten = new Map<number, number[]>();
  const besides: number[] = [];
  const beats = new Heartbeats<number>(clock, {
    open: () => open,
    besides: () => besides.push(clock.now()),
    beat: (item) => void beaten.set(item, [...(beaten.get(item) ?? []), clock.now()]),
  });
  return {
    clock,
    beaten,
    besides,
    beats,
    pass: (ms) => {
      const end = clock.now() + ms;
      while (clock.nextAt !== null && clock.nextAt <= end) clock.fireNext();
      clock.pass(end - clock.now());
    },
  };
}

const numbers = (count: number): Set<number> => new Set(Array.from({ length: count }, (_, number) => number));

describe('heartbeats (NR2)', () => {
  it('come once a second to few, at the same moment', () => {
    const { beaten, besides, pass } = watch(numbers(BEATEN_AT_ONCE));
    pass(3 * HEARTBEAT_MS);
    for (const times of beaten.values()) expect(times).toEqual([1000, 2000, 3000]);
    expect(besides).toEqual([1000, 2000, 3000]);
  });

  it('come once a second to many, a few at a time', () => {
    const { beaten, besides, pass } = watch(numbers(600));
    pass(5 * HEARTBEAT_MS);
    const perMoment = new Map<number, number>();
    for (const time of [...beaten.values()].flat()) perMoment.set(time, (perMoment.get(time) ?? 0) + 1);
    expect(Math.max(...perMoment.values())).toBe(BEATEN_AT_ONCE);
    for (const times of beaten.values()) {
      expect(times.length).toBeGreaterThanOrEqual(4);
      times.slice(1).forEach((time, index) => expect(time - times[index]!).toBeCloseTo(HEARTBEAT_MS, 6));
    }
    besides.slice(1).forEach((time, index) => expect(time - besides[index]!).toBeCloseTo(HEARTBEAT_MS, 6));
  });

  it('come to who was open when the beat began, and to others with the next', () => {
    const open = numbers(1);
    const { beaten, pass } = watch(open);
    pass(500);
    open.add(1);
    pass(2000);
    expect([beaten.get(0), beaten.get(1)]).toEqual([
      [1000, 2000],
      [1000, 2000],
    ]);
  });

  it('go on although one of them fails', () => {
    const clock = new VirtualClock(0);
    let beats = 0;
    const failing = new Heartbeats<number>(
      {
        now: () => clock.now(),
        setTimeout: (callback, ms) =>
          clock.setTimeout(() => {
            try {
              callback();
            } catch {
              // Counted by the relay.
            }
          }, ms),
      },
      {
        open: () => [1],
        besides: () => undefined,
        beat: () => {
          beats++;
          throw new Error('of this beat');
        },
      },
    );
    for (let count = 0; count < 3; count++) clock.fireNext();
    failing.dispose();
    expect(beats).toBe(3);
  });

  it('count once, however late they are, and stop', () => {
    const { clock, beaten, beats, pass } = watch(numbers(90));
    pass(1000);
    // It stood still for ten seconds.
    clock.fireNext();
    const before = [...beaten.values()].flat().length;
    beats.dispose();
    pass(10 * HEARTBEAT_MS);
    expect([...beaten.values()].flat()).toHaveLength(before);
  });
});
