import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GuestClock, type ClockReading } from './guest-clock.ts';
import type { V86Cpu } from './v86-api.ts';

/** A host with its clocks, and v86's clock devices on it, with v86's own arithmetic. */
class FakeHost {
  monotonic: number;
  wall: number;
  tscOffset = 0n;
  /** How far the clock advances at each reading, and the granularity in which it shows that. */
  tickMs = 1e-6;
  granularityMs = 0;
  /** When the clock shows the same value again, v86 extrapolates from these, as in its read_tsc. */
  private readonly guess = { last: 0n, same: 0n, resolution: 2n ** 64n - 1n, speed: 1n };
  readonly pit = { counter_start_time: new Float64Array(3) };
  /** The parts of v86's real-time clock (its rtc.js) that deal with time. */
  readonly rtc = {
    rtc_time: 0,
    last_update: 0,
    next_interrupt: 0,
    next_interrupt_alarm: 0,
    update_interrupt_time: 0,
    cmos_index: 0x0b,
    cmos_data: new Uint8Array(128),
    decode_time: (value: number) => value,
    cmos_port_write: () => undefined,
    timer: () => {
      this.rtc.rtc_time += this.wall - this.rtc.last_update;
      this.rtc.last_update = this.wall;
      return 100;
    },
  };
  writeCmos: (value: number) => void = () => undefined;
  readonly clock: GuestClock;
  readonly cpu: V86Cpu;

  constructor(monotonic: number, wall: number) {
    this.monotonic = monotonic;
    this.wall = wall;
    const exports = {
      read_tsc: () => this.readTsc(),
      // As v86 does it: right only if the old offset is zero.
      set_tsc: (low: number, high: number) => {
        this.tscOffset = BigInt.asUintN(64, this.readTsc() - ((BigInt(high) << 32n) | BigInt(low)));
      },
    };
    const io = { register_write: (_port: number, _device: object, write: (value: number) => void) => void (this.writeCmos = write) };
    this.cpu = { wm: { exports }, devices: { pit: this.pit, rtc: this.rtc }, io } as unknown as V86Cpu;
    this.clock = new GuestClock(this.cpu, { monotonicMs: () => this.read(), wallMs: () => this.wall });
  }

  /** What performance.now() shows. */
  read(): number {
    this.monotonic += this.tickMs;
    return this.granularityMs === 0 ? this.monotonic : Math.floor(this.monotonic / this.granularityMs) * this.granularityMs;
  }

  readTsc(): bigint {
    const { guess } = this;
    const value = BigInt.asUintN(64, BigInt(Math.floor(this.read() * 1e6)) - this.tscOffset);
    if (value === guess.last) {
      guess.same++;
      const extra = BigInt.asUintN(64, guess.same * guess.resolution) / guess.speed;
      return BigInt.asUintN(64, value + (extra < guess.resolution - 1n ? extra : guess.resolution - 1n));
    }
    const difference = BigInt.asUintN(64, value - guess.last);
    if (difference < guess.resolution) guess.resolution = difference;
    guess.last = value;
    if (guess.same !== 0n) {
      guess.speed = guess.same;
      guess.same = 0n;
    }
    return value;
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
    const { rtc_time, last_update, next_interrupt, next_interrupt_alarm, update_interrupt_time } = this.rtc;
    Object.assign(other.rtc, { rtc_time, last_update, next_interrupt, next_interrupt_alarm, update_interrupt_time });
  }
}

const host = fc.record({ monotonic: fc.integer({ min: 0, max: 1e9 }), wall: fc.integer({ min: 1.6e12, max: 2e12 }) });

describe('GuestClock', () => {
  it('continues all clocks over any number of hosts, whatever theirs show, and includes each pause', () => {
    fc.assert(
      fc.property(host, fc.array(fc.record({ host, work: fc.nat(1e6), pause: fc.nat(1e5) }), { minLength: 1, maxLength: 4 }), (first, hops) => {
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
          // The devices may be saved later than the CPU stops, and the other instance's TSC may have been set before.
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
      }),
    );
  });

  it('continues the TSC on a host whose clock shows the same for a while', () => {
    fc.assert(
      fc.property(host, fc.constantFrom(0.005, 0.1, 1), fc.nat(1e5), fc.nat(1e5), (first, granularityMs, work, pause) => {
        const here = new FakeHost(1000, first.wall);
        here.pass(work);
        here.clock.stopped();
        const reading = here.clock.reading();
        // A tab that has been open for a while; its emulator is new, and has not yet seen the clock move.
        const there = new FakeHost(first.monotonic, first.wall);
        Object.assign(there, { granularityMs, tickMs: 0.0001 });
        const emulator = there.cpu.wm.exports;
        emulator.set_tsc(0, 0);
        there.pass(25);
        there.clock.continueFrom(reading, 'moved');
        const started = there.monotonic;
        there.clock.start(pause);
        there.clock.stopped();
        const passedMs = pause + there.monotonic - started;
        const error = Number(there.clock.reading().tsc - reading.tsc) / 1e6 - passedMs;
        expect(Math.abs(error)).toBeLessThanOrEqual(2 * granularityMs);
        // And from then on it neither stops nor leaps.
        let before = emulator.read_tsc();
        for (let turn = 0; turn < 200; turn++) {
          const now = emulator.read_tsc();
          expect(now).toBeGreaterThanOrEqual(before);
          expect(Number(now - before) / 1e6).toBeLessThanOrEqual(2 * granularityMs);
          before = now;
        }
      }),
    );
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

  it("lets the real-time clock of a PC that was switched off show the host's time", () => {
    const there = new FakeHost(1000, 2_000_000);
    there.rtc.rtc_time = there.rtc.last_update = 1_000_000;
    there.clock.continueFrom({ tsc: 5_000_000n, monotonicMs: 500, wallMs: 1_000_000 }, 'switched-off');
    there.clock.start(0);
    expect(there.rtcNow).toBe(2_000_000);
    expect(Number(there.tsc - 5_000_000n)).toBeLessThan(20);
    expect(there.tsc).toBeGreaterThanOrEqual(5_000_000n);
  });

  it('reports what it was given until the machine has run, so that a second move loses nothing', () => {
    const reading: ClockReading = { tsc: 9n, monotonicMs: 1, wallMs: 2 };
    const there = new FakeHost(1000, 2000);
    there.clock.continueFrom(reading, 'moved');
    there.clock.stopped();
    expect(there.clock.reading()).toEqual(reading);
  });

  it("lets the real-time clock go on when the host's wall clock is set, running or stopped, by hours or bit by bit", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ work: fc.nat(1e5), set: fc.integer({ min: -7_200_000, max: 7_200_000 }), stops: fc.boolean() }), { minLength: 1, maxLength: 6 }),
        (times) => {
          const here = new FakeHost(1000, 2e12);
          here.clock.continueFrom({ tsc: 0n, monotonicMs: 0, wallMs: 0 }, 'switched-off');
          here.clock.start(0);
          here.clock.setRealTime(1.9e12);
          here.rtc.next_interrupt_alarm = here.wall + 50_000_000;
          let passed = 0;
          for (const { work, set, stops } of times) {
            if (stops) here.clock.stopped();
            here.pass(work);
            here.wall += set;
            passed += work;
            if (stops) here.clock.start(work);
            here.rtc.timer();
            expect(Math.abs(here.rtcNow - (1.9e12 + passed))).toBeLessThan(10 * times.length);
            expect(Math.abs(here.rtc.next_interrupt_alarm - here.wall - (50_000_000 - passed))).toBeLessThan(10 * times.length);
          }
        },
      ),
    );
  });

  it('shows what it is set to, on a host whose clock is an hour ahead, and after a move to one an hour behind', () => {
    const hour = 3_600_000;
    const truth = 1.9e12;
    const here = new FakeHost(1000, truth + hour);
    here.clock.continueFrom({ tsc: 0n, monotonicMs: 0, wallMs: 5 }, 'switched-off');
    here.clock.start(0);
    here.clock.setRealTime(truth);
    here.pass(2000);
    here.clock.stopped();
    const there = new FakeHost(77_000, truth + 2000 - hour);
    here.copyDevicesTo(there);
    there.clock.continueFrom(here.clock.reading(), 'moved');
    there.pass(30);
    there.clock.start(30);
    there.rtc.timer();
    expect(there.rtcNow).toBe(truth + 2030);
  });

  it('rings the alarm at its time of day by the real-time clock, tomorrow if that is past today', () => {
    const here = new FakeHost(1000, Date.UTC(2026, 0, 1, 12));
    here.clock.continueFrom({ tsc: 0n, monotonicMs: 0, wallMs: 0 }, 'switched-off');
    here.clock.start(0);
    here.clock.setRealTime(Date.UTC(2026, 0, 1, 10, 59, 50));
    for (const [hours, ahead] of [
      [11, 10_000],
      [10, 23 * 3_600_000 + 10_000],
    ] as const) {
      here.rtc.cmos_data[5] = hours;
      here.writeCmos(0x22);
      expect(here.rtc.next_interrupt_alarm - here.wall).toBe(ahead);
    }
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
      expect(there.tsc).toBeGreaterThanOrEqual(1000n);
      expect(there.tsc).toBeLessThan(1020n);
    }
  });
});
