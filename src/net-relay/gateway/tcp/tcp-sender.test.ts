import { describe, expect, it } from 'vitest';
import { BufferBudget } from './buffer-budget.ts';
import type { SeqRange } from './segment.ts';
import { LARGEST_SEND_BUFFER_BYTES, TcpSender } from './tcp-sender.ts';
import { seqAdd } from './sequence.ts';

const MSS = 1000;
/** Close to the wrap, so that every test passes it. */
const FIRST = 0xffff_f000;

interface Sent {
  /** Bytes from the first one. */
  readonly at: number;
  readonly length: number;
  readonly fin: boolean;
}

class Bench {
  readonly sender: TcpSender;
  readonly counts: string[] = [];
  now = 1000;
  window = 10_000_000;
  private sent: Sent[] = [];
  private readonly sack: boolean;
  private readonly timestamps: boolean;

  constructor({ sack = true, timestamps = true, budget = 100_000_000 } = {}) {
    this.sack = sack;
    this.timestamps = timestamps;
    this.sender = new TcpSender({
      first: FIRST,
      mss: MSS,
      window: this.window,
      sack,
      budget: new BufferBudget(budget),
      transmit: (seq, _offset, length, fin) => void this.sent.push({ at: (seq - FIRST) >>> 0, length, fin }),
      count: (event) => void this.counts.push(event),
    });
  }

  /** Queues bytes and sends what may be sent. */
  write(count: number): void {
    let left = count;
    while (left > 0) {
      const taken = this.sender.append(new Uint8Array(left));
      if (taken === 0) throw new Error(`${left} bytes find no room`);
      left -= taken;
    }
    this.sender.output(this.now);
  }

  ack(at: number, { sack = [], echo, seq = 0 }: { sack?: [number, number][]; echo?: number; seq?: number } = {}): void {
    const ranges: SeqRange[] = sack.map(([start, end]) => ({ start: seqAdd(FIRST, start), end: seqAdd(FIRST, end) }));
    this.sender.acknowledge(
      {
        seq,
        ack: seqAdd(FIRST, at),
        window: this.window,
        echo: this.timestamps ? (echo ?? this.now) : undefined,
        sack: this.sack ? ranges : undefined,
        bare: true,
      },
      this.now,
    );
    this.sender.output(this.now);
  }

  /** What was sent since the last call. */
  take(): Sent[] {
    return this.sent.splice(0);
  }

  /** Where each segment starts. */
  starts(): number[] {
    return this.take().map(({ at }) => at);
  }

  /** Lets time pass to the next deadline, and handles it. */
  deadline(): ReturnType<TcpSender['onDeadline']> {
    this.now = Math.min(this.sender.retransmitAt ?? Number.POSITIVE_INFINITY, this.sender.persistAt ?? Number.POSITIVE_INFINITY);
    return this.sender.onDeadline(this.now);
  }

  /** Opens the congestion window with `count` bytes that arrive at once. */
  warmUp(count: number): void {
    this.write(count);
    let acked = 0;
    while (acked < count) {
      for (const { at, length } of this.take()) {
        acked = at + length;
        this.ack(acked);
      }
    }
  }
}

describe('the sending half', () => {
  it('starts with ten segments, and doubles with what is acknowledged (GW25)', () => {
    const bench = new Bench();
    bench.write(64_000);
    expect(bench.starts()).toEqual(Array.from({ length: 10 }, (_, index) => index * MSS));
    bench.ack(2 * MSS);
    expect(bench.take()).toHaveLength(4);
  });

  it('begins anew with ten segments after a rest, so that a guest is not flooded (GW25)', () => {
    const bench = new Bench();
    bench.warmUp(60_000);
    bench.now += 100;
    bench.write(40_000);
    expect(bench.take()).toHaveLength(40);
    bench.ack(100_000);
    bench.now += 300;
    bench.write(40_000);
    expect(bench.take()).toHaveLength(10);
    bench.ack(110_000);
    expect(bench.take().length).toBeGreaterThan(10);
  });

  it('sends the FIN with the last bytes, or alone, and is finished when it is acknowledged (GW23)', () => {
    const together = new Bench();
    together.sender.append(new Uint8Array(1500));
    together.sender.finish();
    together.sender.output(together.now);
    expect(together.take()).toEqual([
      { at: 0, length: 1000, fin: false },
      { at: 1000, length: 500, fin: true },
    ]);
    together.ack(1500);
    expect(together.sender.finished).toBe(false);
    together.ack(1501);
    expect([together.sender.finished, together.sender.retransmitAt]).toEqual([true, null]);
    const alone = new Bench();
    alone.sender.append(new Uint8Array(1000));
    alone.sender.finish();
    alone.sender.output(alone.now);
    expect(alone.take()).toEqual([
      { at: 0, length: 1000, fin: false },
      { at: 1000, length: 0, fin: true },
    ]);
    alone.ack(1000);
    expect(alone.deadline()).toBe('go-on');
    expect(alone.take()).toEqual([{ at: 1000, length: 0, fin: true }]);
  });

  it('repeats only what the peer lacks, several holes in one round trip, at half the speed (GW25)', () => {
    const bench = new Bench();
    bench.warmUp(30_000);
    bench.write(40_000);
    const base = 30_000;
    expect(bench.take()).toHaveLength(40);
    // Segments 0, 5 and 9 are lost.
    const at = (index: number): number => base + index * MSS;
    bench.ack(base, { sack: [[at(1), at(2)]] });
    bench.ack(base, { sack: [[at(1), at(3)]] });
    expect(bench.take()).toEqual([]);
    bench.ack(base, { sack: [[at(1), at(4)]] });
    expect(bench.starts()).toEqual([base]);
    bench.ack(base, {
      sack: [
        [at(6), at(9)],
        [at(1), at(5)],
      ],
    });
    bench.ack(base, {
      sack: [
        [at(10), at(40)],
        [at(6), at(9)],
        [at(1), at(5)],
      ],
    });
    expect(bench.starts()).toEqual([at(5), at(9)]);
    bench.ack(base + 40_000);
    bench.write(60_000);
    expect(bench.take()).toHaveLength(20);
    expect(bench.counts).toEqual(['tcp-retransmitted', 'tcp-retransmitted', 'tcp-retransmitted']);
  });

  it('sees that a repeated segment was lost again, and does not wait for the timer (GW25)', () => {
    const bench = new Bench();
    bench.warmUp(30_000);
    bench.write(60_000);
    bench.take();
    const base = 30_000;
    bench.ack(base, { sack: [[base + MSS, base + 5 * MSS]] });
    expect(bench.starts()).toEqual([base]);
    // Everything else arrives, and what is sent after the repeat as well.
    bench.ack(base, { sack: [[base + MSS, base + 40 * MSS]] });
    const after = bench.take();
    expect(after[0]?.at).toBeGreaterThanOrEqual(base + 40 * MSS);
    bench.ack(base, { sack: [[base + MSS, after[0]!.at + 4 * MSS]] });
    expect(bench.starts()).toContain(base);
    expect(bench.counts).not.toContain('tcp-timeouts');
  });

  it('without SACK repeats at the third duplicate, and the next hole at each partial answer (GW25)', () => {
    const bench = new Bench({ sack: false, timestamps: false });
    bench.warmUp(30_000);
    bench.write(20_000);
    bench.take();
    const base = 30_000;
    bench.ack(base);
    bench.ack(base);
    expect(bench.take()).toEqual([]);
    bench.ack(base);
    expect(bench.starts()).toEqual([base]);
    bench.ack(base + 4 * MSS);
    expect(bench.starts()).toEqual([base + 4 * MSS]);
    bench.ack(base + 20 * MSS);
    expect(bench.take()).toEqual([]);
    // Duplicate ACKs for old retransmissions start nothing.
    bench.write(5000);
    bench.take();
    for (let count = 0; count < 2; count++) bench.ack(base + 20 * MSS);
    expect(bench.take()).toEqual([]);
  });

  it('does not take a window update for a duplicate (GW25)', () => {
    const bench = new Bench({ sack: false });
    bench.warmUp(30_000);
    bench.write(20_000);
    bench.take();
    for (let count = 1; count <= 5; count++) {
      bench.window += 1000;
      bench.ack(30_000);
    }
    expect(bench.take()).toEqual([]);
  });

  it('after a timeout starts again with one segment, and repeats what was sent as answers come (GW26)', () => {
    const bench = new Bench({ timestamps: false });
    bench.warmUp(30_000);
    bench.write(20_000);
    bench.take();
    expect(bench.deadline()).toBe('go-on');
    expect(bench.starts()).toEqual([30_000]);
    bench.ack(31_000);
    expect(bench.starts()).toEqual([31_000, 32_000]);
    bench.ack(33_000);
    expect(bench.take()).toHaveLength(4);
  });

  it('takes a timeout back when the answer is to the original: nothing more is repeated, the speed is as before (GW26)', () => {
    const bench = new Bench();
    bench.warmUp(60_000);
    bench.write(40_000);
    bench.take();
    const sentAt = bench.now;
    bench.deadline();
    expect(bench.starts()).toEqual([60_000]);
    bench.ack(61_000, { echo: sentAt });
    expect(bench.counts).toContain('tcp-spurious-timeouts');
    expect(bench.take()).toEqual([]);
    bench.ack(100_000, { echo: sentAt });
    bench.write(80_000);
    expect(bench.take().length).toBeGreaterThan(60);
  });

  it('forgets what the peer reported when a second timeout shows that it is not to be relied on (GW25)', () => {
    const bench = new Bench();
    bench.warmUp(30_000);
    bench.write(5000);
    bench.take();
    bench.ack(30_000, { sack: [[31_000, 35_000]] });
    bench.take();
    bench.deadline();
    bench.deadline();
    bench.take();
    bench.ack(31_000, { echo: bench.now });
    expect(bench.starts()[0]).toBe(31_000);
  });

  it('doubles its patience with each timeout, up to a minute (GW26)', () => {
    const bench = new Bench();
    bench.warmUp(10_000);
    bench.write(100);
    const waits: number[] = [];
    for (let count = 0; count < 12; count++) {
      const before = bench.now;
      bench.deadline();
      waits.push(bench.now - before);
    }
    expect(waits.slice(0, 5)).toEqual([200, 400, 800, 1600, 3200]);
    expect(waits.at(-1)).toBe(60_000);
  });

  it('does not fill a window with crumbs (GW28)', () => {
    const bench = new Bench();
    bench.window = 2500;
    bench.ack(0);
    bench.write(10_000);
    expect(bench.take().map(({ length }) => length)).toEqual([1000, 1000]);
    bench.ack(1000);
    expect(bench.take().map(({ length }) => length)).toEqual([1000]);
  });

  it('sends into a small window rather than wait for ever (GW27)', () => {
    const bench = new Bench();
    bench.window = 300;
    bench.ack(0);
    bench.write(10_000);
    expect(bench.take().map(({ length }) => length)).toEqual([300]);
  });

  it('believes the newest window, not one that comes late (GW27)', () => {
    const bench = new Bench();
    bench.window = 5000;
    bench.ack(0, { seq: 10 });
    bench.window = 0;
    bench.ack(0, { seq: 9 });
    bench.write(10_000);
    expect(bench.take()).toHaveLength(5);
  });

  it('takes as much as its buffer may hold, which grows only while the budget lasts (GW28)', () => {
    const rich = new Bench();
    for (let round = 0; round < 10; round++) rich.warmUp(60_000);
    rich.window = 0;
    rich.ack(600_000);
    let taken = 0;
    for (let more = 1; more > 0; taken += more) more = rich.sender.append(new Uint8Array(50_000));
    expect(taken).toBe(LARGEST_SEND_BUFFER_BYTES);
    const poor = new Bench({ budget: 100_000 });
    poor.warmUp(60_000);
    poor.window = 0;
    poor.ack(60_000);
    taken = 0;
    for (let more = 1; more > 0; taken += more) more = poor.sender.append(new Uint8Array(50_000));
    expect(taken).toBe(128 * 1024);
  });
});
