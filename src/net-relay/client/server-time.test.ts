import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../shared/clock.ts';
import { shiftedClock, VirtualClock } from '../../migration/testing/virtual-clock.ts';
import { TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';
import { ServerTime, type TimedHeartbeat } from './server-time.ts';

const WALL = 1_900_000_000_000;
/** The server sends whole milliseconds. */
const EXACT_MS = 1;

/** A server and a client, each with its clock, and a connection between them whose delays the test sets. */
class Pair {
  readonly clock = new VirtualClock();
  readonly time: ServerTime;
  /** The server's wall clock minus the time of `clock`. */
  offset = WALL;
  private readonly own: Clock;
  private echo: TimedHeartbeat['echo'] = null;

  constructor(clientAheadMs = 0) {
    this.own = shiftedClock(this.clock, clientAheadMs);
    this.time = new ServerTime(this.own);
  }

  get wall(): number {
    return this.clock.now() + this.offset;
  }

  /** How wrong the client is. */
  get error(): number {
    return Math.abs((this.time.now() ?? Number.NaN) - this.wall);
  }

  attach(thereMs: number, backMs: number): void {
    const helloAt = this.own.now();
    this.clock.pass(thereMs);
    const wallMs = Math.floor(this.wall);
    this.clock.pass(backMs);
    this.time.answered(helloAt, wallMs);
  }

  /** A heartbeat, its echo, and the rest of its second. */
  beat(thereMs: number, backMs: number): void {
    const at = this.clock.now();
    const wallMs = Math.floor(this.wall);
    this.clock.pass(thereMs);
    this.time.beat({ at, wallMs, echo: this.echo });
    this.clock.pass(backMs);
    this.echo = { at, rttMs: this.clock.now() - at };
    this.clock.pass(1000 - thereMs - backMs);
  }
}

const delay = fc.integer({ min: 0, max: 180 });

describe("the server's time", () => {
  it("is known once the hello is answered, wrong by half the round trip at most, whatever the host's own clock shows", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), delay, delay, (ahead, there, back) => {
        const pair = new Pair(ahead);
        expect(pair.time.now()).toBeNull();
        pair.attach(there, back);
        expect(pair.error).toBeLessThanOrEqual((there + back) / 2 + EXACT_MS);
      }),
    );
  });

  it('is as right as the quickest of its heartbeats allows, and stays so while the clocks drift apart', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(delay, delay), { minLength: 3, maxLength: 200 }), fc.double({ min: -1e-4, max: 1e-4, noNaN: true }), (delays, drift) => {
        const pair = new Pair();
        let best = Number.POSITIVE_INFINITY;
        let round = Number.POSITIVE_INFINITY;
        for (const [there, back] of delays) {
          pair.beat(there, back);
          pair.offset += 1000 * drift;
          // How accurate a heartbeat is becomes known with the next one.
          best = Math.min(best, round) + 0.2;
          round = (there + back) / 2;
          if (pair.time.now() !== null) expect(pair.error).toBeLessThanOrEqual(best + 0.2 + 2 * EXACT_MS);
        }
        expect(pair.time.now()).not.toBeNull();
      }),
    );
  });

  it("follows a server's clock that is set, and says so", () => {
    const pair = new Pair();
    let told = 0;
    pair.time.onSet.on(() => {
      told++;
    });
    pair.attach(2, 2);
    for (let round = 0; round < 8; round++) pair.beat(2, 2);
    expect(told).toBe(1);
    for (const step of [3_600_000, -3_600_000, 150, -150]) {
      pair.offset += step;
      pair.beat(30, 30);
      pair.beat(30, 30);
      expect(pair.error).toBeLessThanOrEqual(30 + EXACT_MS);
    }
    expect(told).toBe(5);
  });

  it('does not believe an answer from before the question, nor the echo of a heartbeat that it has not heard', () => {
    const pair = new Pair();
    pair.time.answered(pair.clock.now() + 5, WALL);
    pair.time.answered(Number.NaN, WALL);
    pair.time.beat({ at: 1, wallMs: WALL, echo: { at: 0, rttMs: 1 } });
    pair.time.beat({ at: 2, wallMs: WALL, echo: { at: 1, rttMs: -1 } });
    expect(pair.time.now()).toBeNull();
  });

  it("comes over a port, also a target's, and again after a loss (NR28)", async () => {
    const lan = new VirtualLan();
    const vm = await lan.createVm(lan.host('a'));
    lan.host('b');
    await lan.pass(20);
    const owner = lan.own('a', vm, new TestNic());
    const target = lan.target('b', vm, new TestNic(), 'm1', 'a');
    await lan.pass(20);
    for (const port of [owner, target]) expect(port.serverTime.now()).toBeCloseTo(lan.wallMs(), -1);
    lan.wallAheadMs += 3_600_000;
    lan.network.cut('a');
    await lan.pass(2000);
    expect(owner.serverTime.now()).toBeCloseTo(lan.wallMs(), -1);
    await lan.pass(2000);
    expect(target.serverTime.now()).toBeCloseTo(lan.wallMs(), -1);
    lan.dispose();
    expect(lan.troubles).toEqual([]);
  });
});
