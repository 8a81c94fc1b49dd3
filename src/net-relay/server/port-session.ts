/** An admitted port socket: frames in batches both ways, requests to the VM it belongs to. */
import type { HostId, LeaseEpoch, MigrationId } from '../../shared/ids.ts';
import type { Attempt } from '../protocol/attempt.ts';
import type { ClientConnection } from './client-connection.ts';
import { MAX_BATCH_FRAMES, type PortRefusal, type PortToRelay, type portToRelaySchema, type RelayToPort } from '../protocol/relay-protocol.ts';
import { decodeFrames, encodeFrames } from '../protocol/relay-wire.ts';
import type { FrameSink } from '../lan/vm-port.ts';

export type PortConnection = ClientConnection<typeof portToRelaySchema, RelayToPort>;
export type PortRequest = Exclude<PortToRelay, { type: 'attach-owner' | 'attach-target' | 'heartbeat' }>;

/** Where a session's frames and requests go: the VM. */
export interface PortOwner {
  request(session: PortSession, request: PortRequest): void;
  fromGuest(session: PortSession, frames: readonly Uint8Array[]): void;
  returned(session: PortSession, frames: readonly Uint8Array[]): void;
  /** Frames for the guest that its socket is too slow to take. */
  tooSlow(frames: number): void;
  detached(session: PortSession): void;
}

/** What the session is to the VM's lease; `gone`: its socket closed, or a newer one took its place. */
export type PortRole = 'owner' | 'former-owner' | 'target' | 'gone';

export class PortSession implements FrameSink {
  readonly hostId: HostId;
  readonly tokenDigest: string;
  /** The migration it was attached for; null for an owner. */
  readonly migrationId: MigrationId | null;
  readonly attempt: Attempt | undefined;
  role: PortRole;
  /** Of the lease this port holds, or held. */
  epoch: LeaseEpoch;
  private readonly connection: PortConnection;
  private readonly vm: PortOwner;
  private batch: Uint8Array[] = [];

  constructor(
    connection: PortConnection,
    vm: PortOwner,
    identity: { hostId: HostId; tokenDigest: string; migrationId: MigrationId | null; role: PortRole; epoch: LeaseEpoch; attempt: Attempt | undefined },
  ) {
    this.connection = connection;
    this.vm = vm;
    this.hostId = identity.hostId;
    this.tokenDigest = identity.tokenDigest;
    this.migrationId = identity.migrationId;
    this.attempt = identity.attempt;
    this.role = identity.role;
    this.epoch = identity.epoch;
    connection.beforeText = () => this.flush();
    connection.onMessage = (message) => this.receive(message);
    connection.onBinary = (bytes) => this.receiveFrames(bytes);
    connection.onClosed = () => {
      this.role = 'gone';
      this.batch = [];
      this.vm.detached(this);
    };
  }

  send(message: RelayToPort): void {
    this.connection.send(message);
  }

  /** Frames that are delivered in one task leave as one message. */
  deliver(frame: Uint8Array): void {
    if (this.batch.push(frame) === 1) queueMicrotask(() => this.flush());
    if (this.batch.length === MAX_BATCH_FRAMES) this.flush();
  }

  refuse(cause: PortRefusal, reason: string): void {
    this.connection.refuse({ cause, reason });
  }

  private flush(): void {
    if (this.batch.length === 0) return;
    const frames = this.batch;
    this.batch = [];
    if (!this.connection.sendBinary(encodeFrames('frames', frames))) this.vm.tooSlow(frames.length);
  }

  private receive(message: PortToRelay): void {
    switch (message.type) {
      case 'heartbeat':
        return;
      case 'attach-owner':
      case 'attach-target':
        this.refuse('malformed', 'This port is attached already.');
        return;
      default:
        this.vm.request(this, message);
    }
  }

  private receiveFrames(bytes: Uint8Array): void {
    const decoded = decodeFrames(bytes);
    if (!decoded.ok) {
      this.connection.count('bad-frames');
      this.refuse('malformed', `The relay does not understand these frames (${decoded.refusal}).`);
    } else if (decoded.kind === 'frames') this.vm.fromGuest(this, decoded.frames);
    else this.vm.returned(this, decoded.frames);
  }
}
