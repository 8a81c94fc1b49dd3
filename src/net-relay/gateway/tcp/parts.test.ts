import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noise } from '../testing/tcp-host.ts';
import { ByteRing } from './byte-ring.ts';
import { CongestionWindow } from './congestion.ts';
import { RetransmissionTimeout } from './retransmission-timeout.ts';
import { SeqRanges } from './seq-ranges.ts';
import { seqAdd, seqDiff, seqMax } from './sequence.ts';

describe('sequence numbers', () => {
  it('compare rightly across their wrap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: -0x7fff_ffff, max: 0x7fff_ffff }), (seq, count) => {
        const other = seqAdd(seq, count);
        expect(seqDiff(other, seq)).toBe(count);
        expect(seqMax(seq, other)).toBe(count >= 0 ? other : seq);
      }),
    );
  });
});

describe('a ring of bytes', () => {
  it('behaves as a plain list, with bytes written ahead, and holds little when empty', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('append', 'ahead', 'take', 'copy'), fc.nat(40_000), fc.nat(1000)), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (list) => {
        const ring = new ByteRing();
        let model = Buffer.alloc(0);
        let seed = 1;
        for (const [kind, amount, gap] of list) {
          const data = noise(seed++, amount);
          if (kind === 'append') {
            ring.append(data);
            model = Buffer.concat([model, data]);
          } else if (kind === 'ahead') {
            ring.writeAhead(gap, data);
            ring.writeAhead(0, noise(seed, gap));
            ring.commit(gap + amount);
            model = Buffer.concat([model, noise(seed, gap), data]);
          } else if (kind === 'take') {
            expect(Buffer.compare(ring.take(amount), model.subarray(0, amount))).toBe(0);
            model = model.subarray(amount);
          } else {
            const offset = Math.min(gap, model.length);
            const count = Math.min(amount, model.length - offset);
            const target = new Uint8Array(count + 3);
            ring.copyTo(target, 3, offset, count);
            expect(Buffer.compare(target.subarray(3), model.subarray(offset, offset + count))).toBe(0);
          }
          expect(ring.length).toBe(model.length);
        }
        ring.take(ring.length);
        expect(ring.allocated).toBeLessThanOrEqual(16 * 1024);
      }),
    );
  });
});

describe('a set of sequence ranges', () => {
  it('behaves as a set of numbers, across the wrap', () => {
    const BASE = 0xffff_ffc0;
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(127), fc.integer({ min: 1, max: 20 })), { maxLength: 40 });
    fc.assert(
      fc.property(steps, fc.nat(147), fc.nat(147), (list, a, b) => {
        const ranges = new SeqRanges(1000);
        const model = new Set<number>();
        for (const [add, start, length] of list) {
          if (add) {
            ranges.add(seqAdd(BASE, start), seqAdd(BASE, start + length));
            for (let number = start; number < start + length; number++) model.add(number);
          } else {
            ranges.dropBelow(seqAdd(BASE, start));
            for (const number of model) if (number < start) model.delete(number);
          }
        }
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        expect(ranges.countIn(seqAdd(BASE, from), seqAdd(BASE, to))).toBe([...model].filter((number) => number >= from && number < to).length);
        let end = from;
        while (model.has(end)) end++;
        expect(ranges.endOfRangeAt(seqAdd(BASE, from))).toBe(seqAdd(BASE, end));
        const highest = model.size === 0 ? -1 : Math.max(...model);
        expect(ranges.highestEnd(7)).toBe(model.size === 0 ? 7 : seqAdd(BASE, highest + 1));
        expect(ranges.empty).toBe(model.size === 0);
        for (let index = 1; index < ranges.all.length; index++) expect(seqDiff(ranges.all[index]!.start, ranges.all[index - 1]!.end)).toBeGreaterThan(0);
      }),
    );
  });

  it('refuses one range more than it may hold, but still grows those it has', () => {
    const ranges = new SeqRanges(2);
    expect([ranges.add(0, 1), ranges.add(10, 11), ranges.add(20, 21), ranges.add(11, 15)]).toEqual([true, true, false, true]);
    expect(ranges.all).toEqual([
      { start: 0, end: 1 },
      { start: 10, end: 15 },
    ]);
  });
});

describe('the retransmission timeout', () => {
  it('follows RFC 6298: first twice the measured time and more, then its mean and variance (GW26)', () => {
    const timeout = new RetransmissionTimeout();
    expect(timeout.ms).toBe(1000);
    timeout.sample(400);
    expect(timeout.ms).toBe(400 + 4 * 200);
    timeout.sample(600);
    // Variance 200 + (200 - 200) / 4, mean 400 + 200 / 8.
    expect(timeout.ms).toBe(425 + 4 * 200);
    for (let count = 0; count < 100; count++) timeout.sample(1);
    expect(timeout.ms).toBe(200);
    timeout.backOff();
    timeout.backOff();
    expect(timeout.ms).toBe(800);
    timeout.endBackOff();
    expect(timeout.ms).toBe(200);
    for (let count = 0; count < 20; count++) timeout.backOff();
    expect(timeout.ms).toBe(60_000);
  });
});

describe('the congestion window', () => {
  it('doubles in slow start, adds a segment per round trip behind the threshold, halves at a loss, and never passes its limit (GW25)', () => {
    const window = new CongestionWindow(1000, 100_000);
    expect(window.bytes).toBe(10_000);
    for (let count = 0; count < 10; count++) window.onAcknowledged(1000);
    expect(window.bytes).toBe(20_000);
    window.onLoss(20_000);
    expect(window.bytes).toBe(10_000);
    for (let count = 0; count < 10; count++) window.onAcknowledged(1000);
    expect(window.bytes).toBeGreaterThan(10_900);
    expect(window.bytes).toBeLessThan(11_100);
    window.onTimeout(12_000, true);
    expect(window.bytes).toBe(1000);
    window.undoTimeout();
    expect(window.bytes).toBeGreaterThan(10_900);
    for (let count = 0; count < 100_000; count++) window.onAcknowledged(2000);
    expect(window.bytes).toBe(100_000);
  });
});
