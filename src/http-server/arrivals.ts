/**
 * Limits how fast one address may open connections, whatever they are for: a connection costs the server as much as a
 * hundred messages, and a client opens the next one as soon as one is refused. Faster connections wait their turn, and
 * the server does not read them until then. It refuses nobody who waits for less than some seconds.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../shared/clock.ts';
import { AddressBuckets } from '../net-relay/limits/address-buckets.ts';
import {
  CONNECTION_DISTANCE_MS,
  CONNECTIONS_AT_ONCE,
  CONNECTIONS_IN_A_ROW,
  CONNECTIONS_PER_SECOND,
  MAX_CONNECTIONS_WAITING,
} from '../net-relay/limits/server-limits.ts';
import { Counters } from '../shared/counters.ts';
import { callerAddress } from './caller-address.ts';

export type ArrivalRefusal = 'connections-waiting';

export class Arrivals {
  readonly refusals = new Counters<ArrivalRefusal>();
  private readonly clock: Clock;
  private readonly buckets: AddressBuckets;
  private readonly distances: AddressBuckets;

  constructor(clock: Clock) {
    this.clock = clock;
    this.buckets = new AddressBuckets(clock, CONNECTIONS_PER_SECOND, CONNECTIONS_AT_ONCE);
    this.distances = new AddressBuckets(clock, 1000 / CONNECTION_DISTANCE_MS, CONNECTIONS_IN_A_ROW);
  }

  /** Calls `admit` when it is this connection's turn: at once if no other connection of its address waits. Closes the connection if too many wait. */
  turn(socket: Pick<Socket, 'remoteAddress' | 'pause' | 'resume' | 'destroy' | 'once' | 'off'>, admit: () => void): void {
    const address = callerAddress(socket.remoteAddress);
    if (!this.buckets.has(address, 1 - MAX_CONNECTIONS_WAITING)) {
      this.refusals.add('connections-waiting');
      socket.destroy();
      return;
    }
    const waitMs = Math.max(this.buckets.borrow(address), this.distances.borrow(address));
    if (waitMs === 0) {
      admit();
      return;
    }
    socket.pause();
    const gone = (): void => turn.dispose();
    // Nobody else listens yet, and an error without a listener ends the process.
    const ignore = (): void => undefined;
    const turn = this.clock.setTimeout(() => {
      socket.off('close', gone);
      socket.off('error', ignore);
      admit();
      socket.resume();
    }, waitMs);
    socket.once('close', gone);
    socket.once('error', ignore);
  }
}
