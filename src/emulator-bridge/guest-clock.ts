/**
 * The guest's time across hosts. v86 derives three guest clocks from the host's: the TSC and the interval timer (PIT)
 * from `performance.now()`, which starts over in every tab, and the real-time clock (RTC) from `Date.now()`. When a
 * machine continues on another host, or from a snapshot, its clocks are rebased onto that host's, so that the guest
 * only sees the time that passed. What the RTC shows is set from outside: a host's wall clock is only that host's own.
 */
import { hostClocks, type HostClocks } from './host-clocks.ts';
import { RealTimeClock } from './real-time-clock.ts';
import type { V86Cpu } from './v86-api.ts';

/** v86's TSC counts at 1 GHz. */
const TSC_PER_MS = 1_000_000;
/**
 * How often the host's clock is read at most while waiting for it to advance: tens of milliseconds if it never does.
 * Browsers may let it stand still for up to a millisecond.
 */
const LONGEST_WAIT = 200_000;

/** Where the guest's clocks stood on the host that stopped it. */
export interface ClockReading {
  readonly tsc: bigint;
  /** That host's `performance.now()`. */
  readonly monotonicMs: number;
  /** That host's `Date.now()`. */
  readonly wallMs: number;
}

/** How the guest's real-time clock continues: like that of a moved machine, or like that of a PC that was switched off in between. */
type Continuation = 'moved' | 'switched-off';

export class GuestClock {
  private readonly cpu: V86Cpu;
  private readonly host: HostClocks;
  private readonly rtc: RealTimeClock;
  private stoppedAt: ClockReading;
  private restored: { readonly from: ClockReading; readonly as: Continuation } | null = null;

  constructor(cpu: V86Cpu, host: HostClocks = hostClocks) {
    this.cpu = cpu;
    this.host = host;
    this.rtc = new RealTimeClock(cpu, host);
    this.stoppedAt = this.read();
  }

  /** Call when the CPU has stopped. */
  stopped(): void {
    this.stoppedAt = this.read();
  }

  /** The guest's clocks when the CPU stopped; if it has not run since a restore, the restored reading. */
  reading(): ClockReading {
    return this.restored?.from ?? this.stoppedAt;
  }

  /** v86's devices were restored from a machine with this reading of its clocks; start() then corrects them. */
  continueFrom(reading: ClockReading, as: Continuation): void {
    this.restored = { from: reading, as };
  }

  /** Call just before the CPU starts. `stoppedForMs`: time since the reading was taken, by any clock. */
  start(stoppedForMs: number): void {
    if (this.restored === null) return;
    const { from, as } = this.restored;
    this.restored = null;
    const elapsed = Number.isFinite(stoppedForMs) ? Math.max(0, stoppedForMs) : 0;
    const { pit } = this.cpu.devices;
    const [now, wallNow] = [this.host.monotonicMs(), this.host.wallMs()];
    this.setTscOffset(BigInt(Math.floor(now * TSC_PER_MS)) - from.tsc - BigInt(Math.round(elapsed * TSC_PER_MS)));
    const monotonicShift = now - elapsed - from.monotonicMs;
    for (let counter = 0; counter < pit.counter_start_time.length; counter++) {
      pit.counter_start_time[counter] = (pit.counter_start_time[counter] ?? 0) + monotonicShift;
    }
    this.rtc.moved(as === 'switched-off' ? 0 : wallNow - elapsed - from.wallMs);
  }

  /** The guest's time-stamp counter: nanoseconds since it booted. */
  timeStamp(): bigint {
    this.freshTime();
    return BigInt.asUintN(64, this.cpu.wm.exports.read_tsc());
  }

  /** Sets the real-time clock, in milliseconds since 1970. After start(). */
  setRealTime(wallMs: number): void {
    this.rtc.set(wallMs);
  }

  /** Brings v86's TSC offset to zero. v86's own set_tsc (used by a reset of the CPU) is only right after this. */
  zeroTscOffset(): void {
    this.setTscOffset(0n);
  }

  /** Makes v86's TSC the host's time since it started, in nanoseconds, less `offset`. */
  private setTscOffset(offset: bigint): void {
    const { exports } = this.cpu.wm;
    // v86's set_tsc(value) computes the new offset as reading - value, and its reading already includes the old offset.
    // When the host's clock shows the same value as before, v86 also adds a guess to the reading: hours, on an instance
    // that has not yet seen the clock advance. So each of the two readings is taken just after the clock has advanced.
    const old = this.freshTime() - BigInt.asUintN(64, exports.read_tsc());
    const value = BigInt.asUintN(64, this.freshTime() - old - offset);
    exports.set_tsc(Number(value & 0xffffffffn), Number(value >> 32n));
  }

  /** The host's time in nanoseconds, as v86 takes it, just after the clock has advanced. */
  private freshTime(): bigint {
    const before = this.host.monotonicMs();
    let now = this.host.monotonicMs();
    for (let attempt = 0; now === before && attempt < LONGEST_WAIT; attempt++) now = this.host.monotonicMs();
    return BigInt(Math.floor(now * TSC_PER_MS));
  }

  private read(): ClockReading {
    return {
      tsc: BigInt.asUintN(64, this.cpu.wm.exports.read_tsc()),
      monotonicMs: this.host.monotonicMs(),
      wallMs: this.host.wallMs(),
    };
  }
}
