import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counters } from '../../shared/counters.ts';
import type { CounterName } from './gateway-counters.ts';
import type { Ipv4Packet } from './ipv4.ts';
import { Reassembler } from './reassembly.ts';
import { noise } from './testing/tcp-host.ts';

function fragment(whole: Uint8Array, start: number, end: number, id = 1, source = 10): Ipv4Packet {
  const payload = whole.subarray(start, end);
  return { source, destination: 1, protocol: 17, id, ttl: 64, fragmentOffset: start, moreFragments: end < whole.length, payload, bytes: payload };
}

function reassembler(): { reassembler: Reassembler; counters: Counters<CounterName> } {
  const counters = new Counters<CounterName>();
  return { reassembler: new Reassembler(counters), counters };
}

describe('fragments', () => {
  it('become the datagram again in whatever order and however often they come (GW11)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 17, max: 65_515 }), fc.integer({ min: 65, max: 185 }), fc.integer(), (length, eighths, seed) => {
        const whole = noise(seed, length);
        const size = eighths * 8;
        const pieces: Ipv4Packet[] = [];
        for (let start = 0; start < length; start += size) pieces.push(fragment(whole, start, Math.min(length, start + size)));
        const order = noise(seed + 1, pieces.length);
        const shuffled = pieces.map((piece, index) => ({ piece, key: order[index] ?? 0 })).sort((a, b) => a.key - b.key);
        const { reassembler: subject } = reassembler();
        const results = shuffled.flatMap(({ piece }) => [piece, piece]).map((piece) => subject.accept(piece, 0));
        const complete = results.filter((result) => result !== null);
        expect(Buffer.compare(complete[0]!.payload, whole)).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('that overlap are refused with the whole datagram, and counted (GW12)', () => {
    const { reassembler: subject, counters } = reassembler();
    const whole = noise(1, 400);
    expect(subject.accept(fragment(whole, 0, 160), 0)).toBe(null);
    expect(subject.accept(fragment(whole, 152, 400), 0)).toBe(null);
    // Nor does a fragment start the same datagram again.
    expect(subject.accept(fragment(whole, 0, 160), 0)).toBe(null);
    expect(subject.accept(fragment(whole, 160, 400), 0)).toBe(null);
    expect(counters.get('fragments-overlapping')).toBe(1);
  });

  it('of impossible size or place are refused, and counted (GW12)', () => {
    const { reassembler: subject, counters } = reassembler();
    const whole = noise(1, 400);
    subject.accept({ ...fragment(whole, 0, 160), payload: whole.subarray(0, 155) }, 0);
    subject.accept({ ...fragment(whole, 0, 400), fragmentOffset: 65_400 }, 0);
    subject.accept({ ...fragment(whole, 8, 8) }, 0);
    subject.accept(fragment(whole, 160, 400), 0);
    // A second fragment that claims to be the last; it ends before the first such one.
    subject.accept({ ...fragment(whole, 80, 160), moreFragments: false }, 0);
    expect(counters.get('fragments-malformed')).toBe(4);
  });

  it('are kept for a bounded number of datagrams, from one guest and in all, and for a bounded time (GW12)', () => {
    const { reassembler: subject, counters } = reassembler();
    const whole = noise(1, 400);
    for (let id = 0; id < 100; id++) subject.accept(fragment(whole, 0, 160, id), 0);
    expect(subject.size).toBe(16);
    for (let source = 0; source < 100; source++) subject.accept(fragment(whole, 0, 160, 1, source + 100), 0);
    expect(subject.size).toBe(64);
    expect(counters.get('fragments-too-many')).toBe(84 + 52);
    subject.accept(fragment(whole, 0, 160, 1, 5), 20_000);
    expect(subject.size).toBe(1);
    expect(counters.get('fragments-expired')).toBe(64);
  });
});
