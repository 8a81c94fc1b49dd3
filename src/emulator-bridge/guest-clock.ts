/**
 * The guest's time across hosts. v86 keeps three clocks on the host's: the TSC and the interval timer (PIT) on
 * `performance.now()`, which starts anew in every tab, and the real-time clock (RTC) on `Date.now()`. When a machine
 * continues on another host, or from a snapshot, they are moved onto that host's clocks so that the guest sees nothing
 * but the time that passed.
 */
import type { V86Cpu } from './v86-api.ts';

/** v86's TSC counts at 1 GHz. */
const TSC_PER_MS = 1_000_000;

/** Where the guest's clocks stood on the host that stopped it. */
export interface ClockReading {
  readonly tsc: bigint;
  /** That host's `performance.now()`. */
  readonly monotonicMs: number;
  /** That host's `Date.now()`. */
  readonly wallMs: number;
}

/** The host's clocks. */
export interface HostClocks {
  monotonicMs(): number;
  wallMs(): number;
}

const hostClocks: HostClocks = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

/** How the guest's real-time clock goes on: as a moved machine's, or as that of a PC that was switched off meanwhile. */
type Continuation = 'moved' | 'switched-off';

export class GuestClock {
  private readonly cpu: V86Cpu;
  private readonly host: HostClocks;
  private stoppedAt: ClockReading;
  private restored: { readonly from: ClockReading; readonly as: Continuation } | null = null;

  constructor(cpu: V86Cpu, host: HostClocks = hostClocks) {
    this.cpu = cpu;
    this.host = host;
    this.stoppedAt = this.read();
  }

  /** Call when the CPU has stopped. */
  stopped(): void {
    this.stoppedAt = this.read();
  }

  /** The guest's clocks at the moment the CPU stopped; or, not run since a restore, what was restored. */
  reading(): ClockReading {
    return this.restored?.from ?? this.stoppedAt;
  }

  /** v86's devices were restored from a machine whose clocks stood so; run() makes them right. */
  continueFrom(reading: ClockReading, as: Continuation): void {
    this.restored = { from: reading, as };
  }

  /** Call just before the CPU starts. `stoppedForMs`: time since the reading was taken, by any clock. */
  start(stoppedForMs: number): void {
    if (this.restored === null) return;
    const { from, as } = this.restored;
    this.restored = null;
    const elapsed = Number.isFinite(stoppedForMs) ? Math.max(0, stoppedForMs) : 0;
    const { pit, rtc } = this.cpu.devices;
    this.setTsc(from.tsc + BigInt(Math.round(elapsed * TSC_PER_MS)));
    const monotonicShift = this.host.monotonicMs() - elapsed - from.monotonicMs;
    for (let counter = 0; counter < pit.counter_start_time.length; counter++) {
      pit.counter_start_time[counter] = (pit.counter_start_time[counter] ?? 0) + monotonicShift;
    }
    if (as === 'switched-off') return;
    const wallShift = this.host.wallMs() - elapsed - from.wallMs;
    rtc.last_update += wallShift;
    if (rtc.next_interrupt !== 0) rtc.next_interrupt += wallShift;
    if (rtc.next_interrupt_alarm !== 0) rtc.next_interrupt_alarm += wallShift;
    if (rtc.update_interrupt_time !== 0) rtc.update_interrupt_time += wallShift;
  }

  /** Brings v86's TSC offset to zero. v86's own set_tsc (used by a reset of the CPU) is only right after this. */
  zeroTscOffset(): void {
    // set_tsc computes the new offset from a reading that already contains the old one.
    const { exports } = this.cpu.wm;
    const now = BigInt.asUintN(64, exports.read_tsc());
    exports.set_tsc(Number(now & 0xffffffffn), Number(now >> 32n));
  }

  private setTsc(value: bigint): void {
    this.zeroTscOffset();
    this.cpu.wm.exports.set_tsc(Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));
  }

  private read(): ClockReading {
    return {
      tsc: BigInt.asUintN(64, this.cpu.wm.exports.read_tsc()),
      monotonicMs: this.host.monotonicMs(),
      wallMs: this.host.wallMs(),
    };
  }
}
