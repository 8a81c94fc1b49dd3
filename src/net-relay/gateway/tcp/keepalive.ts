/** RFC 9293 §3.8.4: no less than two hours by default; then this many probes at this beat. */
const IDLE_MS = 2 * 3_600_000;
const PROBES = 9;
const BEAT_MS = 75_000;

/** Decides when a connection that has been silent for long is probed, and when it is given up. */
export class Keepalive {
  private heardAt: number;
  private probes = 0;

  constructor(now: number) {
    this.heardAt = now;
  }

  heard(now: number): void {
    this.heardAt = now;
    this.probes = 0;
  }

  get deadline(): number {
    return this.heardAt + IDLE_MS + this.probes * BEAT_MS;
  }

  due(now: number): 'nothing' | 'probe' | 'give-up' {
    if (now < this.deadline) return 'nothing';
    if (this.probes >= PROBES) return 'give-up';
    this.probes++;
    return 'probe';
  }
}
