import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClockOffset } from './clock-offset.ts';
import { PendingPages } from './pending-pages.ts';
import { RateMeter, type AppliedBatch } from './rate-meter.ts';
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

  it('keeps the best offset over a link that is replaced, and measures its round trip anew', () => {
    const clocks = new ClockOffset();
    clocks.add({ sentAt: 0, receivedAt: 501, answeredAt: 501, returnedAt: 2 });
    clocks.linkReplaced();
    expect(clocks).toMatchObject({ offsetMs: 500, roundTripMs: null });
    clocks.add({ sentAt: 10, receivedAt: 580, answeredAt: 580, returnedAt: 110 });
    expect(clocks).toMatchObject({ offsetMs: 500, roundTripMs: 100 });
  });
});

describe('The rate meter', () => {
  const batch = (firstSentAt: number, at: number, bytes: number, roundTripMs: number | null = 0): AppliedBatch => ({
    firstSentAt,
    lastSentAt: firstSentAt,
    at,
    bytes,
    roundTripMs,
  });

  it('measures what was applied over the time in which something was on its way', () => {
    const meter = new RateMeter();
    expect(meter.bytesPerSecond()).toBeNull();
    meter.applied(batch(0, 100, 1000));
    meter.applied(batch(0, 200, 1000));
    expect(meter.bytesPerSecond()).toBeCloseTo(10_000);
    // Nothing was in flight for a long time: that time does not count.
    meter.applied(batch(5000, 5100, 1000));
    expect(meter.bytesPerSecond()).toBeCloseTo(10_000);
  });

  it('does not count the way there and back, however far it is and however little is sent at a time', () => {
    for (const roundTripMs of [0, 20, 100, 150]) {
      const meter = new RateMeter();
      let at = 0;
      for (let round = 0; round < 20; round++) {
        meter.applied(batch(at, at + roundTripMs + 10, 10_000, roundTripMs));
        at += roundTripMs + 12;
      }
      expect(meter.bytesPerSecond()).toBeCloseTo(1_000_000);
    }
  });

  it('takes the shortest answer for the round trip where the pings found the target busy', () => {
    const meter = new RateMeter();
    meter.applied({ firstSentAt: 0, lastSentAt: 90, at: 190, bytes: 100_000, roundTripMs: 300 });
    expect(meter.bytesPerSecond()).toBeCloseTo(100_000 / 0.09);
  });

  it('follows a link that becomes slower', () => {
    const meter = new RateMeter();
    for (let at = 10; at <= 1000; at += 10) meter.applied(batch(0, at, 100_000));
    expect(meter.bytesPerSecond()).toBeCloseTo(10_000_000);
    for (let at = 1500; at <= 6000; at += 500) meter.applied(batch(0, at, 50_000));
    expect(meter.bytesPerSecond()).toBeLessThan(300_000);
  });

  it('does not take a lost packet for a slow link', () => {
    const meter = new RateMeter();
    for (let at = 500; at <= 2000; at += 500) meter.applied(batch(0, at, 150_000));
    for (let at = 2400; at <= 4800; at += 400) meter.applied(batch(0, at, 4000));
    expect(meter.bytesPerSecond()).toBeGreaterThan(70_000);
  });

  it('does not divide by nothing', () => {
    const meter = new RateMeter();
    meter.applied(batch(7, 7, 1000));
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
