import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { Emitter } from '../shared/emitter.ts';
import type { Moment } from './guest-agent.ts';
import { GuestWallClock } from './guest-wall-clock.ts';

const HOUR = 3_600_000;
const TRUTH = 1_900_000_000_000;

/** A guest that is moved from host to host; time passes for all of them alike. */
class World {
  readonly clock = new VirtualClock();
  /** What the guest's wall clock shows. */
  guestAheadMs = -500;
  realTime = 0;
  readonly steps: number[] = [];

  get truth(): number {
    return TRUTH + this.clock.now();
  }

  get guestTime(): number {
    return this.truth + this.guestAheadMs;
  }

  pass(ms: number): void {
    const end = this.clock.now() + ms;
    while ((this.clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) this.clock.fireNext();
    this.clock.pass(end - this.clock.now());
  }

  /** A host whose own clock is `aheadMs` ahead. Its estimate of the server's clock is wrong by `errorMs`; null: it has none yet. */
  host(aheadMs: number, errorMs: number | null) {
    const onSet = new Emitter<undefined>();
    const onServices = new Emitter<undefined>();
    const server = { error: errorMs };
    const keeper = new GuestWallClock({
      machine: {
        state: 'running',
        timeStamp: () => BigInt(Math.round(this.clock.now() * 1e6)),
        setRealTime: (wallMs) => void (this.realTime = wallMs - this.truth),
      },
      agent: {
        clock: (now: () => Moment) => {
          const { wallMs, timeStamp } = now();
          // The line waits before the agent reads it.
          this.clock.pass(40);
          const wanted = wallMs + this.clock.now() - Number(timeStamp) / 1e6;
          this.steps.push(wanted - this.guestTime);
          this.guestAheadMs = wanted - this.truth;
          return Promise.resolve('ok clock');
        },
        onServices: (listener) => onServices.on(listener),
      },
      serverTime: { now: () => (server.error === null ? null : this.truth + server.error), onSet },
      clock: this.clock,
      hostWallMs: () => this.truth + aheadMs,
    });
    const learn = (error: number): void => {
      server.error = error;
      onSet.emit(undefined);
    };
    return { keeper, learn, rebooted: () => onServices.emit(undefined) };
  }
}

describe("the guest's wall clock", () => {
  it("is the server's to within 100 ms on hosts an hour ahead and behind, to and fro, and never goes back by more", () => {
    const world = new World();
    world.guestAheadMs = 0;
    for (const [ahead, error] of [
      [HOUR, 3],
      [-HOUR, -20],
      [HOUR, 40],
      [0, -45],
      [-HOUR, 5],
    ] as const) {
      const { keeper } = world.host(ahead, error);
      void keeper.begin();
      expect(Math.abs(world.guestAheadMs)).toBeLessThan(100);
      expect(Math.abs(world.realTime)).toBeLessThan(100);
      world.pass(100_000);
      keeper.dispose();
    }
    expect(Math.min(...world.steps)).toBeGreaterThan(-100);
    expect(world.clock.pending).toBe(0);
  });

  it("waits for the server's time before it gives a new guest one, and takes the host's only if there is none for two seconds", async () => {
    const world = new World();
    const { keeper, learn } = world.host(HOUR, null);
    let known = false;
    const waiting = keeper.known().then(() => {
      known = true;
    });
    world.pass(1000);
    await Promise.resolve();
    expect(known).toBe(false);
    learn(2);
    await waiting;
    expect(keeper.moment().wallMs - world.truth).toBe(2);
    keeper.dispose();

    const cutOff = world.host(HOUR, null);
    const given = cutOff.keeper.known();
    world.pass(2000);
    await given;
    expect(cutOff.keeper.moment().wallMs - world.truth).toBe(HOUR);
    void cutOff.keeper.begin();
    // As soon as the server answers, its time counts.
    cutOff.learn(0);
    expect(Math.abs(world.guestAheadMs)).toBeLessThan(1);
    cutOff.keeper.dispose();
    expect(world.clock.pending).toBe(0);
  });

  it("is set again when the guest has rebooted, when the server's clock was set, and when the guest's own has drifted", () => {
    const world = new World();
    const { keeper, learn, rebooted } = world.host(0, 0);
    rebooted();
    learn(0);
    expect(world.steps).toEqual([]);
    void keeper.begin();
    world.guestAheadMs = 900;
    rebooted();
    expect(world.guestAheadMs).toBe(0);
    learn(5000);
    expect(world.guestAheadMs).toBe(5000);
    world.guestAheadMs += 70;
    world.pass(31_000);
    expect(world.guestAheadMs).toBe(5000);
    keeper.dispose();
    expect(world.clock.pending).toBe(0);
  });
});
