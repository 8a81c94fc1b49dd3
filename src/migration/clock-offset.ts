/**
 * How far the target's monotonic clock is ahead of the source's, measured with pings over the control lane as in NTP:
 * the exchange with the shortest round trip is the most exact; its error is at most half that time.
 */
export interface PingExchange {
  /** The source sent the ping, on its clock. */
  readonly sentAt: number;
  /** The target received it and answered, on its clock. */
  readonly receivedAt: number;
  readonly answeredAt: number;
  /** The answer arrived, on the source's clock. */
  readonly returnedAt: number;
}

export class ClockOffset {
  private best: { readonly roundTripMs: number; readonly offsetMs: number } | null = null;
  private leastRoundTripMs: number | null = null;

  add(exchange: PingExchange): void {
    const roundTripMs = exchange.returnedAt - exchange.sentAt - (exchange.answeredAt - exchange.receivedAt);
    if (roundTripMs < 0) return;
    this.leastRoundTripMs = Math.min(roundTripMs, this.leastRoundTripMs ?? roundTripMs);
    if (this.best !== null && roundTripMs >= this.best.roundTripMs) return;
    const offsetMs = (exchange.receivedAt - exchange.sentAt + (exchange.answeredAt - exchange.returnedAt)) / 2;
    this.best = { roundTripMs, offsetMs };
  }

  /** A new link keeps the clock offset, but not the round trips. */
  linkReplaced(): void {
    this.leastRoundTripMs = null;
  }

  /** Target's clock minus source's clock, in milliseconds; 0 before the first exchange. */
  get offsetMs(): number {
    return this.best?.offsetMs ?? 0;
  }

  /** Shortest round trip seen over the present link; null before the first exchange. */
  get roundTripMs(): number | null {
    return this.leastRoundTripMs;
  }
}
