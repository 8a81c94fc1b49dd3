/**
 * One VM's port at the relay, seen from the VM's worker: frames both ways, the attachment as owner or target, and the
 * messages of the leases that use it. The leases decide what those messages mean.
 */
import type { Clock } from '../../shared/clock.ts';
import { Emitter } from '../../shared/emitter.ts';
import { DisposableBag, type Disposable } from '../../shared/disposable.ts';
import type { HostId, LeaseEpoch, MigrationId, RoomName, VmId } from '../../shared/ids.ts';
import type { Attempt } from '../protocol/attempt.ts';
import { Counters } from '../../shared/counters.ts';
import {
  MAX_BATCH_FRAMES,
  MAX_FRAME_BYTES,
  RELAY_PROTOCOL_VERSION,
  relayToPortSchema,
  type PortToRelay,
  type RelayToPort,
} from '../protocol/relay-protocol.ts';
import { decodeFrames, encodeBatches, encodeFrames } from '../protocol/relay-wire.ts';
import { systemClock } from '../../shared/system-clock.ts';
import { InboundQueue, type PortClientDrop, type PortNic } from './inbound-queue.ts';
import type { OpenSocket } from './open-socket.ts';
import { RelaySocket, type RelaySocketState } from './relay-socket.ts';
import { ServerTime } from './server-time.ts';

export interface PortCredentials {
  readonly room: RoomName;
  readonly key: string;
  readonly hostId: HostId;
  readonly hostToken: string;
}

export interface PortConnectionOptions {
  /** `…/relay/port`; http(s) or ws(s). */
  readonly url: string;
  readonly credentials: PortCredentials;
  readonly vmId: VmId;
  readonly epoch: LeaseEpoch;
  readonly nic: PortNic;
  readonly clock?: Clock;
  readonly openSocket?: OpenSocket;
  readonly random?: () => number;
}

export type PortState = RelaySocketState;
export type Attached = Extract<RelayToPort, { type: 'attached' }>;

/** A lease that receives what its port receives. */
export interface PortListener {
  attached(message: Attached): void;
  message(message: RelayToPort): void;
  state(state: PortState): void;
  disposed(): void;
}

/** With more than this waiting to be sent, the guest's frames are dropped, as on a saturated cable. At 20 MB/s, 0.2 s. */
const MAX_OUTBOUND_BACKLOG_BYTES = 4 * 1024 * 1024;

export class PortConnection implements Disposable {
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly clock: Clock;
  readonly serverTime: ServerTime;
  readonly drops = new Counters<PortClientDrop>();
  readonly onState = new Emitter<PortState>();
  private readonly socket: RelaySocket<typeof relayToPortSchema>;
  private readonly queue: InboundQueue;
  private readonly listeners = new Set<PortListener>();
  private readonly bag = new DisposableBag();
  private leaseEpoch: LeaseEpoch;
  private target: MigrationId | null;
  private role: Attached['as'] | null = null;
  private outbound: Uint8Array[] = [];
  private helloAt = 0;

  /** `target`: the migration through which this port waits to receive the VM; null for the owner's port. */
  constructor(options: PortConnectionOptions, target: MigrationId | null) {
    this.vmId = options.vmId;
    this.hostId = options.credentials.hostId;
    this.clock = options.clock ?? systemClock;
    this.leaseEpoch = options.epoch;
    this.target = target;
    this.serverTime = this.bag.add(new ServerTime(this.clock));
    this.queue = this.bag.add(new InboundQueue(options.nic, this.drops));
    this.bag.add(options.nic.onFrame((frame) => this.fromGuest(frame)));
    this.socket = new RelaySocket({
      url: options.url,
      schema: relayToPortSchema,
      hello: (attempt) => this.hello(options.credentials, attempt),
      accepts: (message) => message.type === 'attached',
      onMessage: (message) => this.receive(message),
      onBinary: (bytes) => this.receiveFrames(bytes),
      onHeartbeat: (message) => {
        if (message.type === 'heartbeat') this.serverTime.beat(message);
      },
      clock: this.clock,
      openSocket: options.openSocket,
      random: options.random,
    });
    this.socket.onState.on((state) => {
      for (const listener of [...this.listeners]) listener.state(state);
      this.onState.emit(state);
    });
  }

  get state(): PortState {
    return this.socket.state;
  }

  /** The epoch of the lease, as this host last knew it. */
  get epoch(): LeaseEpoch {
    return this.leaseEpoch;
  }

  get queuedFrames(): number {
    return this.queue.length;
  }

  listen(listener: PortListener): Disposable {
    this.listeners.add(listener);
    return { dispose: () => void this.listeners.delete(listener) };
  }

  /** False while there is no connection; leases send again once they are attached. */
  send(message: PortToRelay): boolean {
    this.flush();
    return this.socket.send(JSON.stringify(message));
  }

  /** Removes and returns the frames that the guest was not given. */
  takeUndelivered(): Uint8Array[] {
    return this.queue.take();
  }

  sendReturned(frames: readonly Uint8Array[]): void {
    for (const message of encodeBatches('returned', frames)) this.socket.send(message);
  }

  /** This host owns the VM now, at this epoch. */
  becomeOwner(epoch: LeaseEpoch): void {
    this.target = null;
    this.role = 'owner';
    this.leaseEpoch = epoch;
  }

  /** Another host has the VM: nothing goes in or out here any more. */
  becomeFormerOwner(): void {
    this.role = 'former-owner';
    this.outbound = [];
    this.queue.take();
  }

  /** Ends this port; `reason` is a sentence. */
  refuse(cause: string, reason: string): void {
    this.socket.refuse(cause, reason);
  }

  dispose(): void {
    this.flush();
    this.socket.dispose();
    this.bag.dispose();
    for (const listener of [...this.listeners]) listener.disposed();
    this.listeners.clear();
    this.onState.dispose();
  }

  private hello({ room, key, hostId, hostToken }: PortCredentials, attempt: Attempt): PortToRelay {
    this.role = null;
    this.helloAt = this.clock.now();
    const common = { version: RELAY_PROTOCOL_VERSION, room, key, hostId, hostToken, attempt, vmId: this.vmId, epoch: this.leaseEpoch };
    return this.target === null ? { type: 'attach-owner', ...common } : { type: 'attach-target', ...common, migrationId: this.target };
  }

  private receive(message: RelayToPort): void {
    if (message.type !== 'attached') {
      for (const listener of [...this.listeners]) listener.message(message);
      return;
    }
    this.serverTime.answered(this.helloAt, message.wallMs);
    this.role = message.as;
    if (message.as === 'owner') this.leaseEpoch = message.epoch as LeaseEpoch;
    // After the state has changed to `connected`, so that listeners can send.
    queueMicrotask(() => {
      if (this.socket.state.kind !== 'connected') return;
      for (const listener of [...this.listeners]) listener.attached(message);
    });
  }

  private receiveFrames(bytes: Uint8Array): void {
    const decoded = decodeFrames(bytes);
    if (!decoded.ok) {
      this.drops.add('bad-frames');
      return;
    }
    if (this.role !== 'owner') {
      this.drops.add('not-owner', decoded.frames.length);
      return;
    }
    for (const frame of decoded.frames) this.queue.push(frame);
    this.queue.pump();
  }

  private fromGuest(frame: Uint8Array): void {
    if (this.role !== 'owner') this.drops.add(this.state.kind === 'connected' ? 'not-owner' : 'not-connected');
    else if (this.state.kind !== 'connected') this.drops.add('not-connected');
    else if (frame.length === 0 || frame.length > MAX_FRAME_BYTES) this.drops.add('oversized');
    else {
      // Frames that are sent in one task leave as one message.
      if (this.outbound.push(frame) === 1) queueMicrotask(() => this.flush());
      if (this.outbound.length === MAX_BATCH_FRAMES) this.flush();
    }
  }

  private flush(): void {
    if (this.outbound.length === 0) return;
    const frames = this.outbound;
    this.outbound = [];
    if (this.socket.backlogBytes > MAX_OUTBOUND_BACKLOG_BYTES) this.drops.add('too-slow', frames.length);
    else if (!this.socket.send(encodeFrames('frames', frames))) this.drops.add('not-connected', frames.length);
  }
}
