import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClockOffset } from './clock-offset.ts';
import { PendingPages } from './pending-pages.ts';
import { RateMeter } from './rate-meter.ts';
import { Bitmap } from '../shared/bitmap.ts';

describe('The offset of the clocks', () => {
  it('is as exact as half the shortest round trip, however uneven the others are', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1e6, max: 1e6 }),
        fc.array(fc.tuple(fc.double({ min: 0, max: 50, noNaN: true }), fc.double({ min: 0, max: 50, noNaN: true })), { minLength: 1, maxLength: 10 }),
        (offset, delays) => {
          const clocks = new ClockOffset();
          let at = 1000;
          for (const [there, back] of delays) {
            clocks.add({ sentAt: at, receivedAt: at + there + offset, answeredAt: at + there + offset, returnedAt: at + there + back });
            at += 100;
          }
          const shortest = Math.min(...delays.map(([there, back]) => there + back));
          expect(Math.abs(clocks.offsetMs - offset)).toBeLessThanOrEqual(shortest / 2 + 1e-6);
          expect(clocks.roundTripMs).toBeCloseTo(shortest, 6);
        },
      ),
    );
  });

  it('is 0 before it was measured, and leaves out an exchange that cannot be', () => {
    const clocks = new ClockOffset();
    clocks.add({ sentAt: 10, receivedAt: 0, answeredAt: 100, returnedAt: 11 });
    expect(clocks.offsetMs).toBe(0);
    expect(clocks.roundTripMs).toBeNull();
  });
});

describe('The rate meter', () => {
  it('measures what was applied over the time in which something was on its way', () => {
    const meter = new RateMeter();
    expect(meter.bytesPerSecond()).toBeNull();
    meter.sent(0);
    meter.acknowledged(100, 1000, true);
    meter.acknowledged(200, 1000, false);
    expect(meter.bytesPerSecond()).toBeCloseTo(10_000);
    // Nothing was on its way for a long time: that does not count.
    meter.sent(5000);
    meter.acknowledged(5100, 1000, false);
    expect(meter.bytesPerSecond()).toBeCloseTo(10_000);
  });

  it('follows a link that becomes slower', () => {
    const meter = new RateMeter();
    meter.sent(0);
    for (let at = 10; at <= 1000; at += 10) meter.acknowledged(at, 100_000, true);
    expect(meter.bytesPerSecond()).toBeCloseTo(10_000_000);
    for (let at = 1500; at <= 6000; at += 500) meter.acknowledged(at, 50_000, true);
    expect(meter.bytesPerSecond()).toBeLessThan(300_000);
  });

  it('does not divide by nothing', () => {
    const meter = new RateMeter();
    meter.sent(7);
    meter.acknowledged(7, 1000, false);
    expect(Number.isFinite(meter.bytesPerSecond())).toBe(true);
  });
});

describe('The pending pages', () => {
  it('are taken once each, rising within a piece, whatever is added meanwhile (MG12)', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uniqueArray(fc.nat(99), { maxLength: 30 }), fc.integer({ min: 1, max: 20 })), { maxLength: 20 }), (steps) => {
        const pending = new PendingPages(100);
        const model = new Set<number>();
        const takeSome = (most: number): void => {
          const taken = [...pending.take(most)];
          expect(taken).toEqual([...taken].sort((left, right) => left - right));
          expect(taken.length).toBeLessThanOrEqual(most);
          if (model.size > 0) expect(taken.length).toBeGreaterThan(0);
          for (const page of taken) expect(model.delete(page)).toBe(true);
          expect(pending.count).toBe(model.size);
        };
        for (const [added, most] of steps) {
          if (added.length % 2 === 0) {
            const bitmap = new Bitmap(100);
            for (const page of added) bitmap.add(page);
            pending.addAll(bitmap);
          } else {
            for (const page of added) pending.add(page);
          }
          for (const page of added) model.add(page);
          takeSome(most);
        }
        while (pending.count > 0) takeSome(7);
        expect(model.size).toBe(0);
      }),
    );
  });
});
