/**
 * The relay's link between two hosts: pairs of sockets whose messages are passed on as they are. The window of each
 * side bounds what waits here; a side that sends more is cut off.
 */
import type { HostId } from '../../shared/ids.ts';
import type { ClientConnection } from './client-connection.ts';
import { LANE_WINDOW_BYTES, MAX_LANE_MESSAGE_BYTES, type laneToRelaySchema, type LaneRefusal, type RelayToLane } from '../protocol/relay-protocol.ts';
import { REFUSALS } from './refusals.ts';
import { MAX_LANES } from '../limits/server-limits.ts';

export type LaneConnection = ClientConnection<typeof laneToRelaySchema, RelayToLane>;

/** One side waits for the other for this many beats of a second. */
const JOIN_BEATS = 10;

export interface LaneJoin {
  readonly laneId: string;
  readonly side: 'source' | 'target';
  readonly hostId: HostId;
  readonly peerHostId: HostId;
}

class LaneSide {
  readonly connection: LaneConnection;
  readonly join: LaneJoin;
  peer: LaneSide | null = null;
  /** Bytes passed on that the other side has not taken in yet. */
  inFlight = 0;
  beats = 0;

  constructor(connection: LaneConnection, join: LaneJoin) {
    this.connection = connection;
    this.join = join;
  }

  refuse(cause: LaneRefusal, reason: string): void {
    this.connection.refuse({ cause, reason });
  }
}

/** The lanes of one room. */
export class RoomLanes {
  private readonly sides = new Set<LaneSide>();

  get size(): number {
    return this.sides.size;
  }

  join(connection: LaneConnection, join: LaneJoin): void {
    const side = new LaneSide(connection, join);
    if (this.sides.size >= MAX_LANES) {
      side.refuse('relay-full', 'The server carries as many migrations of this room as it can. Try again later.');
      return;
    }
    const sameLane = [...this.sides].filter((other) => other.join.laneId === join.laneId);
    const waiting = sameLane.find(
      (other) => other.peer === null && other.join.side !== join.side && other.join.hostId === join.peerHostId && join.hostId === other.join.peerHostId,
    );
    if (sameLane.some((other) => other !== waiting && (other.join.side === join.side || other.peer !== null))) {
      side.refuse('lane-taken', 'Another host uses a lane of this name.');
      return;
    }
    this.sides.add(side);
    connection.onMessage = (message) => {
      if (message.type === 'consumed') this.consumed(side, message.bytes);
      else if (message.type === 'join-lane') side.refuse('malformed', 'This lane is open already.');
    };
    connection.onBinary = (bytes) => this.pass(side, bytes);
    connection.onClosed = () => {
      this.sides.delete(side);
      side.peer?.refuse('lane-closed', 'The other host closed the connection, or its own to the server was lost.');
    };
    if (waiting === undefined) return;
    waiting.peer = side;
    side.peer = waiting;
    waiting.connection.send({ type: 'lane-open' });
    connection.send({ type: 'lane-open' });
  }

  /** Closes the lanes of a host, or all. */
  refuse(cause: 'removed' | 'room-closed', hostId: HostId | null = null): void {
    for (const side of [...this.sides]) if (hostId === null || side.join.hostId === hostId) side.refuse(cause, REFUSALS[cause]);
  }

  /** Once a second. */
  beat(): void {
    for (const side of [...this.sides]) {
      side.beats += 1;
      if (side.peer === null && side.beats > JOIN_BEATS) side.refuse('lane-closed', `The other host did not come within ${JOIN_BEATS} s.`);
    }
  }

  private pass(side: LaneSide, bytes: Uint8Array): void {
    side.inFlight += bytes.length;
    if (side.peer === null || bytes.length > MAX_LANE_MESSAGE_BYTES || side.inFlight > LANE_WINDOW_BYTES) {
      side.connection.count('lane-overrun');
      side.refuse('malformed', 'This host sent more than the lane may carry at once.');
      return;
    }
    side.peer.connection.sendBinary(bytes, Number.POSITIVE_INFINITY);
  }

  private consumed(side: LaneSide, bytes: number): void {
    const { peer } = side;
    if (peer === null || bytes > peer.inFlight) {
      side.refuse('malformed', 'This host says it took in more than there was.');
      return;
    }
    peer.inFlight -= bytes;
    peer.connection.send({ type: 'consumed', bytes });
  }
}
