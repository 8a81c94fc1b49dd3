import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GuestClock, type ClockReading } from './guest-clock.ts';
import type { V86Cpu } from './v86-api.ts';

/** A host with its clocks, and v86's clock devices on it, with v86's own arithmetic. */
class FakeHost {
  monotonic: number;
  wall: number;
  tscOffset = 0n;
  readonly pit = { counter_start_time: new Float64Array(3) };
  readonly rtc = { rtc_time: 0, last_update: 0, next_interrupt: 0, next_interrupt_alarm: 0, update_interrupt_time: 0 };
  readonly clock: GuestClock;

  constructor(monotonic: number, wall: number) {
    this.monotonic = monotonic;
    this.wall = wall;
    const exports = {
      read_tsc: () => this.tsc,
      // As v86 does it: right only if the old offset is zero.
      set_tsc: (low: number, high: number) => {
        this.tscOffset = BigInt.asUintN(64, this.tsc - ((BigInt(high) << 32n) | BigInt(low)));
      },
    };
    const cpu = { wm: { exports }, devices: { pit: this.pit, rtc: this.rtc } } as unknown as V86Cpu;
    this.clock = new GuestClock(cpu, { monotonicMs: () => this.monotonic, wallMs: () => this.wall });
  }

  get tsc(): bigint {
    return BigInt.asUintN(64, BigInt(Math.floor(this.monotonic * 1e6)) - this.tscOffset);
  }

  pass(ms: number): void {
    this.monotonic += ms;
    this.wall += ms;
  }

  /** What the guest reads from its real-time clock. */
  get rtcNow(): number {
    return this.rtc.rtc_time + (this.wall - this.rtc.last_update);
  }

  /** Milliseconds since the guest started the interval timer. */
  get sincePit(): number {
    return this.monotonic - (this.pit.counter_start_time[0] ?? 0);
  }

  /** What v86 saves and restores of these devices. */
  copyDevicesTo(other: FakeHost): void {
    other.pit.counter_start_time.set(this.pit.counter_start_time);
    Object.assign(other.rtc, this.rtc);
  }
}

const host = fc.record({ monotonic: fc.integer({ min: 0, max: 1e9 }), wall: fc.integer({ min: 1.6e12, max: 2e12 }) });

describe('GuestClock', () => {
  it('continues all clocks over any number of hosts, whatever theirs show, and includes each pause', () => {
    fc.assert(fc.property(host, fc.array(fc.record({ host, work: fc.nat(1e6), pause: fc.nat(1e5) }), { minLength: 1, maxLength: 4 }), (first, hops) => {
      let here = new FakeHost(first.monotonic, first.wall);
      here.pit.counter_start_time[0] = here.monotonic;
      here.rtc.rtc_time = here.rtc.last_update = here.wall;
      let guestMs = 0;
      const tscStart = here.tsc;
      for (const hop of hops) {
        here.pass(hop.work);
        here.clock.stopped();
        const reading = here.clock.reading();
        const there = new FakeHost(hop.host.monotonic, hop.host.wall);
        // The devices may be saved later than the CPU stopped, and on an instance whose TSC was set before.
        here.pass(3);
        here.copyDevicesTo(there);
        there.tscOffset = 77_000_000_000n;
        there.clock.continueFrom(reading, 'moved');
        there.pass(hop.pause);
        there.clock.start(hop.pause);
        guestMs += hop.work + hop.pause;
        expect(Number(there.tsc - tscStart) / 1e6).toBeCloseTo(guestMs, 3);
        expect(there.sincePit).toBeCloseTo(guestMs, 3);
        expect(there.rtcNow - first.wall).toBeCloseTo(guestMs, 3);
        here = there;
      }
    }));
  });

  it('moves pending alarms of the real-time clock, and leaves those that are not set', () => {
    const there = new FakeHost(1000, 2_000_000);
    there.rtc.next_interrupt_alarm = 1_000_500;
    there.clock.continueFrom({ tsc: 0n, monotonicMs: 500, wallMs: 1_000_000 }, 'moved');
    there.clock.start(100);
    // The alarm was due 500 ms after the stop; 100 of these have passed.
    expect(there.rtc.next_interrupt_alarm - there.wall).toBe(400);
    expect(there.rtc.next_interrupt).toBe(0);
  });

  it('lets the real-time clock of a PC that was switched off show the host\'s time', () => {
    const there = new FakeHost(1000, 2_000_000);
    there.rtc.rtc_time = there.rtc.last_update = 1_000_000;
    there.clock.continueFrom({ tsc: 5_000_000n, monotonicMs: 500, wallMs: 1_000_000 }, 'switched-off');
    there.clock.start(0);
    expect(there.rtcNow).toBe(2_000_000);
    expect(there.tsc).toBe(5_000_000n);
  });

  it('reports what it was given until the machine has run, so that a second move loses nothing', () => {
    const reading: ClockReading = { tsc: 9n, monotonicMs: 1, wallMs: 2 };
    const there = new FakeHost(1000, 2000);
    there.clock.continueFrom(reading, 'moved');
    there.clock.stopped();
    expect(there.clock.reading()).toEqual(reading);
  });

  it('touches nothing when the same host goes on after a pause', () => {
    const here = new FakeHost(1000, 2000);
    here.tscOffset = 123n;
    here.clock.stopped();
    here.pass(50);
    here.clock.start(0);
    expect(here.tscOffset).toBe(123n);
  });

  it('takes a negative or impossible pause for none', () => {
    for (const pause of [-5, NaN, Infinity]) {
      const there = new FakeHost(1000, 2000);
      there.clock.continueFrom({ tsc: 1000n, monotonicMs: 0, wallMs: 0 }, 'moved');
      there.clock.start(pause);
      expect(there.tsc).toBe(1000n);
    }
  });
});
