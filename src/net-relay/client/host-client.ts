/** A tab's membership of a room: who is here, which VMs there are, messages between hosts. Runs in the page. */
import * as v from 'valibot';
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import type { HostId, LeaseEpoch, RoomName, VmId } from '../../shared/ids.ts';
import {
  createdVmSchema,
  MAX_TEXT_MESSAGE_BYTES,
  RELAY_PROTOCOL_VERSION,
  relayToHostSchema,
  type CreatedVm,
  type EndedVm,
  type Ending,
  type FormerHost,
  type HostInfo,
  type HostToRelay,
  type RelayToHost,
  type VmInfo,
  type VmState,
  type VmTraffic,
} from '../protocol/relay-protocol.ts';
import { systemClock } from '../../shared/system-clock.ts';
import type { OpenSocket } from './open-socket.ts';
import { RelaySocket, type RelaySocketState } from './relay-socket.ts';

export interface HostClientOptions {
  /** `…/relay/host`; http(s) or ws(s). */
  readonly url: string;
  readonly room: RoomName;
  readonly key: string;
  readonly hostId: HostId;
  /** Secret of this host id: nobody else can act as this host. */
  readonly hostToken: string;
  readonly name: string;
  /** Code that opens new rooms, on a server that asks for one. */
  readonly openCode?: string | undefined;
  /** Of the room's owner, if this is a room that opens for this host. */
  readonly ownerSecret?: string | undefined;
  /** The host that this tab was before it was reloaded; the relay may still think that it is present. */
  readonly former?: FormerHost | undefined;
  readonly clock?: Clock;
  readonly openSocket?: OpenSocket;
  readonly random?: () => number;
}

const REFUSED = 'refused';

/** True if the relay refused the request itself; false if it did not answer, or could not store the change. */
export function wasRefused(error: unknown): boolean {
  return error instanceof Error && error.cause === REFUSED;
}

type HostClientState = RelaySocketState;
export interface HostMessageEvent {
  readonly hostId: HostId;
  readonly body: unknown;
}
interface RoomView {
  readonly hosts: readonly HostInfo[];
  readonly vms: readonly VmInfo[];
  /** VMs that have ended and are not dismissed yet, oldest first. */
  readonly ended: readonly EndedVm[];
}
interface PingEvent {
  readonly vmId: string;
  readonly seq: number;
  readonly rttMs: number | null;
}

export interface HostClient extends Disposable {
  readonly state: HostClientState;
  onState(listener: (state: HostClientState) => void): Disposable;
  /** The room's key as this host knows it: the one given, or the one it was changed to. */
  readonly key: string;
  /** The room's key is not the one known here; null: nobody can tell the new one (it was changed while this host was away). */
  onKey(listener: (key: string | null) => void): Disposable;
  /** The given secret is that of the room's owner. */
  readonly isOwner: boolean;
  /** The room as the relay last described it, or null. */
  readonly room: RoomView | null;
  onRoom(listener: (room: RoomView) => void): Disposable;
  onMessage(listener: (message: HostMessageEvent) => void): Disposable;
  /** A message to a host that is not there, or that could not be sent because the server is away. */
  onUndeliverable(listener: (message: HostMessageEvent) => void): Disposable;
  onPing(listener: (ping: PingEvent) => void): Disposable;
  onTraffic(listener: (traffic: readonly VmTraffic[]) => void): Disposable;
  /** Survives a lost connection; rejects with a sentence if the server refuses or does not answer within 10 s. */
  createVm(wanted: { readonly name?: string | undefined; readonly memoryBytes: number }): Promise<CreatedVm>;
  /** With `ending`, the room remembers the VM. Refused (see wasRefused) if this host does not own the VM at this epoch. */
  destroyVm(vmId: VmId, epoch: LeaseEpoch, ending?: Ending): Promise<void>;
  dismissEnded(vmIds: readonly string[]): Promise<void>;
  /** For a VM whose owner is gone for good. Rejects with a sentence if the owner is present, or the lease is no longer at this epoch. */
  forgetVm(vmId: VmId, epoch: LeaseEpoch): Promise<void>;
  /** Sent again after a reconnect, as long as this host may own the VM. */
  setVmState(vmId: VmId, epoch: LeaseEpoch, state: VmState): void;
  /** Throws RangeError if the body is larger than MAX_TEXT_MESSAGE_BYTES as JSON. */
  sendToHost(hostId: HostId, body: unknown): void;
  /** To all other hosts; silently lost while the server is away. */
  sendToRoom(body: unknown): void;
}

/** No request waits longer than this without an error. */
const REQUEST_LIMIT_MS = 10_000;

type Request = Extract<HostToRelay, { requestId: number }>;
type UnsentRequest = Request extends infer R ? (R extends Request ? Omit<R, 'requestId'> : never) : never;

interface Pending {
  readonly message: Request;
  readonly settle: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly limit: Disposable;
}

export function connectHost(options: HostClientOptions): HostClient {
  return new RelayHostClient(options);
}

class RelayHostClient implements HostClient {
  private readonly clock: Clock;
  private readonly socket: RelaySocket<typeof relayToHostSchema>;
  private readonly rooms = new Emitter<RoomView>();
  private readonly messages = new Emitter<HostMessageEvent>();
  private readonly undeliverable = new Emitter<HostMessageEvent>();
  private readonly pings = new Emitter<PingEvent>();
  private readonly traffic = new Emitter<readonly VmTraffic[]>();
  private readonly keys = new Emitter<string | null>();
  private readonly pending = new Map<number, Pending>();
  /** What this host last reported about its VMs. */
  private readonly vmStates = new Map<VmId, { epoch: LeaseEpoch; state: VmState }>();
  private view: RoomView | null = null;
  private roomKey: string;
  private owns = false;
  // A reloaded host must not reuse the request numbers from before the reload: the relay remembers the answers to them.
  private nextRequest = Math.floor(Math.random() * 2 ** 40);

  constructor(options: HostClientOptions) {
    this.clock = options.clock ?? systemClock;
    this.roomKey = options.key;
    const { room, hostId, hostToken, name, openCode, ownerSecret, former } = options;
    this.socket = new RelaySocket({
      url: options.url,
      schema: relayToHostSchema,
      hello: (attempt) =>
        ({
          type: 'hello',
          version: RELAY_PROTOCOL_VERSION,
          room,
          key: this.roomKey,
          hostId,
          hostToken,
          attempt,
          name,
          openCode,
          ownerSecret,
          former,
        }) satisfies HostToRelay,
      accepts: (message) => message.type === 'welcome',
      onMessage: (message) => this.receive(message),
      clock: this.clock,
      openSocket: options.openSocket,
      random: options.random,
    });
    this.socket.onState.on((state) => {
      if (state.kind === 'connected') this.catchUp();
      if (state.kind === 'refused') this.rejectAll(state.reason);
    });
  }

  get state(): HostClientState {
    return this.socket.state;
  }

  get key(): string {
    return this.roomKey;
  }

  get isOwner(): boolean {
    return this.owns;
  }

  onKey(listener: (key: string | null) => void): Disposable {
    return this.keys.on(listener);
  }

  get room(): RoomView | null {
    return this.view;
  }

  onState(listener: (state: HostClientState) => void): Disposable {
    return this.socket.onState.on(listener);
  }

  onRoom(listener: (room: RoomView) => void): Disposable {
    return this.rooms.on(listener);
  }

  onMessage(listener: (message: HostMessageEvent) => void): Disposable {
    return this.messages.on(listener);
  }

  onUndeliverable(listener: (message: HostMessageEvent) => void): Disposable {
    return this.undeliverable.on(listener);
  }

  onPing(listener: (ping: PingEvent) => void): Disposable {
    return this.pings.on(listener);
  }

  onTraffic(listener: (traffic: readonly VmTraffic[]) => void): Disposable {
    return this.traffic.on(listener);
  }

  async createVm(wanted: { readonly name?: string | undefined; readonly memoryBytes: number }): Promise<CreatedVm> {
    const { name, memoryBytes } = wanted;
    const value = await this.request({ type: 'create-vm', name, memoryBytes });
    return v.parse(createdVmSchema, value);
  }

  async destroyVm(vmId: VmId, epoch: LeaseEpoch, ending?: Ending): Promise<void> {
    this.vmStates.delete(vmId);
    await this.request({ type: 'destroy-vm', vmId, epoch, ending });
  }

  async dismissEnded(vmIds: readonly string[]): Promise<void> {
    await this.request({ type: 'dismiss-ended', vmIds: [...vmIds] });
  }

  async forgetVm(vmId: VmId, epoch: LeaseEpoch): Promise<void> {
    await this.request({ type: 'forget-vm', vmId, epoch });
  }

  setVmState(vmId: VmId, epoch: LeaseEpoch, state: VmState): void {
    this.vmStates.set(vmId, { epoch, state });
    this.send({ type: 'vm-state', vmId, epoch, state });
  }

  sendToHost(hostId: HostId, body: unknown): void {
    if (!this.send({ type: 'to-host', hostId, body })) {
      // Only after the call that failed has returned to its caller.
      queueMicrotask(() => this.undeliverable.emit({ hostId, body }));
    }
  }

  sendToRoom(body: unknown): void {
    this.send({ type: 'to-room', body });
  }

  dispose(): void {
    this.rejectAll('This tab has left the room.');
    this.socket.dispose();
    for (const emitter of [this.rooms, this.messages, this.undeliverable, this.pings, this.traffic, this.keys]) emitter.dispose();
  }

  private send(message: HostToRelay): boolean {
    const text = JSON.stringify(message);
    if (text.length > MAX_TEXT_MESSAGE_BYTES) throw new RangeError(`A message to the room may have ${MAX_TEXT_MESSAGE_BYTES} characters, not ${text.length}.`);
    return this.socket.send(text);
  }

  private request(unsent: UnsentRequest): Promise<unknown> {
    const { state } = this.socket;
    if (state.kind === 'refused') return Promise.reject(new Error(state.reason));
    const requestId = this.nextRequest++;
    const message: Request = { ...unsent, requestId };
    return new Promise((settle, reject) => {
      const limit = this.clock.setTimeout(() => {
        this.pending.delete(requestId);
        const why = this.socket.state.kind === 'connected' ? 'The server did not answer within 10 s.' : 'The server cannot be reached.';
        reject(new Error(`${why} Try again in a moment.`));
      }, REQUEST_LIMIT_MS);
      this.pending.set(requestId, { message, settle, reject, limit });
      this.send(message);
    });
  }

  /** After each welcome: repeats what may have been lost. The relay answers a repeated request, but performs it once. */
  private catchUp(): void {
    for (const { message } of this.pending.values()) this.send(message);
    for (const [vmId, { epoch, state }] of this.vmStates) this.send({ type: 'vm-state', vmId, epoch, state });
  }

  private receive(message: RelayToHost): void {
    switch (message.type) {
      case 'room':
        this.forgetMovedVms(message.vms);
        this.view = { hosts: message.hosts, vms: message.vms, ended: message.ended };
        this.rooms.emit(this.view);
        break;
      case 'reply':
        this.settle(message);
        break;
      case 'from-host':
        this.messages.emit({ hostId: message.hostId as HostId, body: message.body });
        break;
      case 'undeliverable':
        this.undeliverable.emit({ hostId: message.hostId as HostId, body: message.body });
        break;
      case 'pings':
        for (const sample of message.samples) this.pings.emit(sample);
        break;
      case 'traffic':
        this.traffic.emit(message.vms);
        break;
      case 'key-changed':
        this.learnKey(message.key);
        break;
      case 'welcome':
        this.owns = message.owner;
        if (message.key !== undefined) this.learnKey(message.key);
        break;
      case 'refused':
      case 'heartbeat':
        break;
    }
  }

  private learnKey(key: string | null): void {
    if (key !== null) this.roomKey = key;
    this.keys.emit(key);
  }

  private settle(reply: Extract<RelayToHost, { type: 'reply' }>): void {
    const pending = this.pending.get(reply.requestId);
    if (pending === undefined) {
      // This request was given up long ago: if its VM was made all the same, it would stay in the list for ever.
      const late = reply.ok ? v.safeParse(createdVmSchema, reply.value) : null;
      if (late?.success === true) this.request({ type: 'destroy-vm', vmId: late.output.vmId, epoch: late.output.epoch }).catch(() => undefined);
      return;
    }
    this.pending.delete(reply.requestId);
    pending.limit.dispose();
    if (reply.ok) pending.settle(reply.value);
    else pending.reject(new Error(reply.reason, { cause: reply.cause ?? REFUSED }));
  }

  private forgetMovedVms(vms: readonly VmInfo[]): void {
    for (const [vmId, { epoch }] of this.vmStates) {
      const info = vms.find((vm) => vm.id === vmId);
      // A list that is older than what this host knows of its own VM proves nothing.
      if (info !== undefined && info.epoch > epoch) this.vmStates.delete(vmId);
    }
  }

  private rejectAll(reason: string): void {
    for (const { reject, limit } of this.pending.values()) {
      limit.dispose();
      reject(new Error(reason));
    }
    this.pending.clear();
  }
}
