/** The first message of a socket: who it is, and what it wants of which room. Then a session takes the socket over, or it is refused. */
import type { Clock } from '../../shared/clock.ts';
import type { Counters } from '../../shared/counters.ts';
import type { HostId, LeaseEpoch, MigrationId } from '../../shared/ids.ts';
import { isOverdue } from '../protocol/attempt.ts';
import { hostToRelaySchema, laneToRelaySchema, portToRelaySchema, type HostRefusal } from '../protocol/relay-protocol.ts';
import { ClientConnection, type ConnectionRefusal } from './client-connection.ts';
import { HEARTBEAT_MS } from './heartbeats.ts';
import { HostSession, type HostConnection } from './host-session.ts';
import type { LaneConnection } from './lane-session.ts';
import type { NoAdmission, OpenRooms } from './open-rooms.ts';
import type { PortConnection } from './port-session.ts';
import { REFUSALS } from './refusals.ts';
import { hexDigestOf } from './room-keys.ts';
import type { ServerSocket } from './server-socket.ts';

export type SocketKind = 'host' | 'port' | 'lane';
export type AnyConnection = HostConnection | PortConnection | LaneConnection;
export type RelayRefusal = ConnectionRefusal | HostRefusal | 'unknown-vm' | 'internal';

export class FirstMessages {
  private readonly rooms: OpenRooms;
  private readonly refusals: Counters<RelayRefusal>;
  private readonly clock: Clock;

  constructor(rooms: OpenRooms, refusals: Counters<RelayRefusal>, clock: Clock) {
    this.rooms = rooms;
    this.refusals = refusals;
    this.clock = clock;
  }

  /** A connection that waits for its first message. */
  connection(kind: SocketKind, socket: ServerSocket, address: string | null): AnyConnection {
    switch (kind) {
      case 'host':
        return this.hostConnection(socket, address);
      case 'port':
        return this.portConnection(socket, address);
      case 'lane':
        return this.laneConnection(socket, address);
    }
  }

  private hostConnection(socket: ServerSocket, address: string | null): HostConnection {
    const connection: HostConnection = new ClientConnection(socket, hostToRelaySchema, this.refusals, this.clock);
    connection.onMessage = (message) => {
      if (message.type !== 'hello') {
        this.refuseWord(connection, 'The first message must be hello.');
        return;
      }
      const admitted = this.rooms.admit(message, address, true);
      if ('cause' in admitted) {
        this.refuse(connection, admitted.cause);
        return;
      }
      const hostId = message.hostId as HostId;
      if (isOverdue(message.attempt, admitted.room.hosts.voice(hostId)?.attempt)) {
        connection.refuse({ cause: 'replaced', reason: 'A newer connection of the same tab took this place.' });
        return;
      }
      connection.sharePace(admitted.room.pace);
      const { former } = message;
      if (former !== undefined && former.hostId !== hostId) admitted.room.hosts.supersede(former.hostId as HostId, hexDigestOf(former.hostToken), former.gone);
      const session = new HostSession(connection, admitted.room, hostId, message.attempt, address);
      if (!admitted.room.hosts.join(hostId, message.name, session)) {
        this.refuse(connection, 'room-full');
        return;
      }
      session.send({ type: 'welcome', hostId, room: message.room, heartbeatMs: HEARTBEAT_MS, owner: admitted.isOwner, key: admitted.key });
      session.send(admitted.room.roomMessage());
      admitted.room.changed();
    };
    return connection;
  }

  private portConnection(socket: ServerSocket, address: string | null): PortConnection {
    const connection: PortConnection = new ClientConnection(socket, portToRelaySchema, this.refusals, this.clock);
    connection.onMessage = (message) => {
      if (message.type !== 'attach-owner' && message.type !== 'attach-target') {
        this.refuseWord(connection, 'The first message must attach the port.');
        return;
      }
      const admitted = this.rooms.admit(message, address, false);
      if ('cause' in admitted && admitted.cause !== 'closed-room') {
        this.refuse(connection, admitted.cause);
        return;
      }
      const vm = 'room' in admitted ? admitted.room.vm(message.vmId) : undefined;
      if (vm === undefined) {
        this.refusals.add('unknown-vm');
        connection.refuse({ cause: 'unknown-vm', reason: 'The relay knows no such VM; it has ended, or was forgotten.' });
        return;
      }
      if ('room' in admitted) connection.sharePace(admitted.room.pace);
      const digest = hexDigestOf(message.hostToken);
      const hostId = message.hostId as HostId;
      const epoch = message.epoch as LeaseEpoch;
      if (message.type === 'attach-owner') vm.attachOwner(connection, hostId, digest, epoch, message.attempt);
      else vm.attachTarget(connection, hostId, digest, epoch, message.migrationId as MigrationId, message.attempt);
    };
    return connection;
  }

  private laneConnection(socket: ServerSocket, address: string | null): LaneConnection {
    const connection: LaneConnection = new ClientConnection(socket, laneToRelaySchema, this.refusals, this.clock);
    connection.onMessage = (message) => {
      if (message.type !== 'join-lane') {
        this.refuseWord(connection, 'The first message must join a lane.');
        return;
      }
      const admitted = this.rooms.admit(message, address, false);
      if ('cause' in admitted) {
        this.refuse(connection, admitted.cause);
        return;
      }
      connection.sharePace(admitted.room.pace);
      admitted.room.lanes.join(connection, {
        laneId: message.laneId,
        side: message.side,
        hostId: message.hostId as HostId,
        peerHostId: message.peerHostId as HostId,
      });
    };
    return connection;
  }

  private refuseWord(connection: AnyConnection, reason: string): void {
    this.refusals.add('no-hello');
    connection.refuse({ cause: 'malformed', reason });
  }

  refuse(connection: AnyConnection, why: NoAdmission): void {
    const cause = why === 'closed-room' ? 'key' : why;
    this.refusals.add(cause);
    connection.refuse({ cause, reason: REFUSALS[cause] });
  }
}
