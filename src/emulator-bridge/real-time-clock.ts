/**
 * The guest's real-time clock (RTC). v86 derives it from the host's `Date.now()`, so it would jump whenever that clock
 * is set, and show that clock's time. Here it runs on the host's monotonic clock, and is set from outside.
 */
import type { HostClocks } from './host-clocks.ts';
import type { V86Cpu, V86Rtc } from './v86-api.ts';

/** `Date.now()` counts whole milliseconds; a difference above this means that the host's clock was set. */
const RESOLUTION_MS = 5;
const DAY_MS = 86_400_000;
const DATA_PORT = 0x71;
/** Registers: the alarm's time of day, and the one with the alarm's switch. */
const SECONDS_ALARM = 1;
const MINUTES_ALARM = 3;
const HOURS_ALARM = 5;
const STATUS_B = 0x0b;
const ALARM_ON = 0x20;

export class RealTimeClock {
  private readonly rtc: V86Rtc;
  private readonly host: HostClocks;
  /** The host's wall clock minus its monotonic clock; the times in v86's device are based on this offset. */
  private hostOffsetMs: number;

  /** Changes v86's device. Once per instance. */
  constructor(cpu: V86Cpu, host: HostClocks) {
    const { rtc } = cpu.devices;
    this.rtc = rtc;
    this.host = host;
    this.hostOffsetMs = host.wallMs() - host.monotonicMs();
    const stock = rtc.timer.bind(rtc);
    rtc.timer = (now, acpi) => {
      this.followHost();
      return stock(now, acpi);
    };
    cpu.io.register_write(DATA_PORT, rtc, (value) => {
      this.followHost();
      rtc.cmos_port_write(value);
      if (rtc.cmos_index === STATUS_B && (value & ALARM_ON) !== 0) this.setAlarm();
    });
  }

  /** What it shows, in milliseconds since 1970. */
  now(): number {
    this.followHost();
    return this.rtc.rtc_time + this.host.wallMs() - this.rtc.last_update;
  }

  set(wallMs: number): void {
    this.rtc.rtc_time += wallMs - this.now();
  }

  /** Call after the device was restored from another host. `wallShiftMs`: how far that host's wall clock was behind. */
  moved(wallShiftMs: number): void {
    this.shift(wallShiftMs);
    this.hostOffsetMs = this.host.wallMs() - this.host.monotonicMs();
  }

  /** If the host's wall clock was set, shifts the device's times by the same amount. */
  private followHost(): void {
    const step = this.host.wallMs() - this.host.monotonicMs() - this.hostOffsetMs;
    if (Math.abs(step) < RESOLUTION_MS) return;
    this.hostOffsetMs += step;
    this.shift(step);
  }

  private shift(ms: number): void {
    const { rtc } = this;
    rtc.last_update += ms;
    if (rtc.next_interrupt !== 0) rtc.next_interrupt += ms;
    if (rtc.next_interrupt_alarm !== 0) rtc.next_interrupt_alarm += ms;
    if (rtc.update_interrupt_time !== 0) rtc.update_interrupt_time += ms;
  }

  /** Sets the alarm right: v86 reads its time of day on the host's clock, and as today's even if it has passed. */
  private setAlarm(): void {
    const { rtc } = this;
    const field = (register: number): number => rtc.decode_time(rtc.cmos_data[register] ?? 0);
    const now = this.now();
    const timeOfDay = ((field(HOURS_ALARM) * 60 + field(MINUTES_ALARM)) * 60 + field(SECONDS_ALARM)) * 1000;
    const ahead = (timeOfDay - (now % DAY_MS) + DAY_MS) % DAY_MS;
    rtc.next_interrupt_alarm = this.host.wallMs() + ahead;
  }
}
