import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noise } from '../testing/tcp-host.ts';
import { BufferBudget } from './buffer-budget.ts';
import { TcpReceiver, SYN_WINDOW, WINDOW_SHIFT } from './tcp-receiver.ts';
import { seqAdd } from './sequence.ts';

const FIRST = 0xffff_fff0;
const MSS = 1000;
const at = (offset: number): number => seqAdd(FIRST, offset);

function receiver(budget = 100_000_000): TcpReceiver {
  const made = new TcpReceiver(FIRST, MSS, WINDOW_SHIFT, new BufferBudget(budget));
  made.advertise();
  return made;
}

/** Where the window that a field offers ends, from the first byte on. */
function edge(subject: TcpReceiver): number {
  const field = subject.advertise();
  return ((subject.next - FIRST) >>> 0) + field * 2 ** WINDOW_SHIFT;
}

describe('the receiving half', () => {
  it('gives the bytes in order, whatever order and overlap they come in, and never takes its offer back (GW24, GW28)', () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('data' as const),
          offset: fc.integer({ min: -3000, max: 200_000 }),
          length: fc.integer({ min: 1, max: 1460 }),
        }),
      },
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant('data' as const), offset: fc.integer({ min: -1500, max: 5000 }), length: fc.integer({ min: 1, max: 1460 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), offset: fc.nat(100_000), length: fc.constant(0) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('advertise' as const), offset: fc.constant(0), length: fc.constant(0) }) },
    );
    const stream = noise(1, 2_000_000);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const subject = receiver();
        const got: Uint8Array[] = [];
        let furthest = edge(subject);
        for (const { kind, offset, length } of steps) {
          const next = (subject.next - FIRST) >>> 0;
          if (kind === 'data') {
            const start = Math.max(0, next + offset);
            subject.accept(at(start), stream.subarray(start, start + length));
            expect((subject.next - FIRST) >>> 0).toBeLessThanOrEqual(furthest);
          } else if (kind === 'read') got.push(subject.read(offset));
          else {
            const offered = edge(subject);
            expect(offered).toBeGreaterThanOrEqual(furthest);
            furthest = offered;
          }
        }
        got.push(subject.read(Number.MAX_SAFE_INTEGER));
        const all = Buffer.concat(got);
        expect(all.length).toBe((subject.next - FIRST) >>> 0);
        expect(Buffer.compare(all, stream.subarray(0, all.length))).toBe(0);
        for (const range of subject.sackRanges()) expect(((range.start - subject.next) | 0) > 0).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('takes of a segment only what is new and fits its window (GW24)', () => {
    const subject = receiver();
    expect(subject.accept(at(0), noise(1, 500))).toBe('in-order');
    expect(subject.accept(at(0), noise(1, 500))).toBe('old');
    expect(subject.accept(at(200), noise(2, 1000))).toBe('in-order');
    expect(subject.readable).toBe(1200);
    expect(subject.accept(at(SYN_WINDOW + 200_000), noise(1, 10))).toBe('beyond-window');
    const offered = edge(subject);
    subject.accept(at(1200), new Uint8Array(offered - 1200 - 10));
    expect(subject.accept(at(offered - 10), new Uint8Array(MSS))).toBe('in-order');
    expect(subject.readable).toBe(offered);
  });

  it('reports what came early, the latest first, and no longer once the hole is filled (GW21)', () => {
    const subject = receiver();
    for (const offset of [9000, 5000, 2000, 7000]) subject.accept(at(offset), new Uint8Array(1000));
    expect(subject.sackRanges()).toEqual([
      { start: at(7000), end: at(8000) },
      { start: at(2000), end: at(3000) },
      { start: at(5000), end: at(6000) },
    ]);
    expect(subject.acknowledgmentDue()).toBe('none');
    subject.accept(at(0), new Uint8Array(9000));
    expect(subject.sackRanges()).toEqual([]);
    expect(subject.readable).toBe(10_000);
    expect(subject.acknowledgmentDue()).toBe('now');
  });

  it('keeps a bounded number of pieces that came early (GW28)', () => {
    const subject = receiver();
    const results = Array.from({ length: 200 }, (_, index) => subject.accept(at(10 + 2 * index), new Uint8Array(1)));
    expect(results.filter((result) => result === 'early')).toHaveLength(128);
    expect(results.at(-1)).toBe('dropped');
  });

  it('closes its window as bytes wait, asks to have it told when it opens, and opens it in steps worth a segment (GW27)', () => {
    const subject = receiver();
    let sent = 0;
    for (let offered = edge(subject); offered > sent; offered = edge(subject)) {
      const length = Math.min(MSS, offered - sent);
      subject.accept(at(sent), new Uint8Array(length));
      sent += length;
    }
    expect(subject.readable).toBe(sent);
    expect(subject.advertise()).toBe(0);
    subject.read(1500);
    expect([subject.windowUpdateDue, subject.advertise()]).toEqual([false, 0]);
    subject.read(100_000);
    expect(subject.windowUpdateDue).toBe(true);
    expect(subject.advertise()).toBeGreaterThan(0);
    expect(subject.windowUpdateDue).toBe(false);
  });

  it('offers more to whom reads much, while the budget lasts (GW28)', () => {
    const widest = (budget: number): number => {
      const subject = receiver(budget);
      for (let sent = 0; sent < 20_000_000; sent += MSS) {
        subject.accept(at(sent), new Uint8Array(MSS));
        subject.read(MSS);
        subject.advertise();
      }
      return subject.advertise() * 2 ** WINDOW_SHIFT;
    };
    expect(widest(100_000_000)).toBeGreaterThan(2_000_000);
    expect(widest(300_000)).toBeLessThan(300_000);
    expect(widest(300_000)).toBeGreaterThan(200_000);
  });
});
