/**
 * The relay itself as the arbiter of a migration under test: the real server with its store, the real port clients, and
 * between them sockets on which a message arrives when the schedule says so. When a relay crashes, its process is gone;
 * the next one has only what the first had stored.
 */
import type { Arbiter, Owner, SeenFrame } from '../../../migration/testing/arbiter.ts';
import type { ModelVm } from '../../../migration/testing/model-vm.ts';
import { SOURCE_HOST, TARGET_HOST } from '../../../migration/testing/staging.ts';
import type { Action, Host, World } from '../../../migration/testing/world.ts';
import type { LeaseOutcome, SourceLease, TargetLease } from '../../../migration/ports.ts';
import { disposable, type Disposable } from '../../../shared/disposable.ts';
import type { HostId, LeaseEpoch, MigrationId, RoomName, VmId } from '../../../shared/ids.ts';
import { connectHost } from '../../client/host-client.ts';
import { attachOwner, attachTarget, type OwnerPort, type TargetPort } from '../../client/port-client.ts';
import { GATEWAY_IP, GATEWAY_MAC } from '../../lan/lan.ts';
import { RELAY_PROTOCOL_VERSION, type CreatedVm, type HostToRelay } from '../../protocol/relay-protocol.ts';
import { createRelay, type Relay } from '../../server/relay-server.ts';
import type { StoredVm } from '../../store/relay-store.ts';
import { RequestRefused } from '../../server/request-refused.ts';
import { memoryKeyValueStore, StoreRefusal } from '../../store/key-value-store.ts';
import { MemoryNetwork, type Direction, type MemorySocket } from '../memory-network.ts';
import { ipFrame, numberOf } from '../relay-harness.ts';
import { GuestCard } from './guest-card.ts';
import { repeatedBytes } from '../repeated-bytes.ts';

const GATEWAY = { mac: GATEWAY_MAC, ip: GATEWAY_IP };
const HOSTS: Readonly<Record<Owner, HostId>> = { source: SOURCE_HOST, target: TARGET_HOST };
/** Which copy of the guest sent a frame. */
const SENDER_AT = 48;
/** Frames from outside to the guest in one run, and the time between two. */
const FRAMES_TO_GUEST = 100;
const FRAME_EVERY_MS = 2;
/** The share of its steps at which the guest sends a frame; far fewer once it has sent many, because most of a long run is waiting. */
const SENDS = 0.4;
const MANY_FRAMES = 100;
const SLOW_FRAME_EVERY_MS = 400;

export class RelayArbiter implements Arbiter {
  readonly world: World;
  readonly network = new MemoryNetwork();
  readonly frames: SeenFrame[] = [];
  readonly violations: string[] = [];
  readonly cards: Readonly<Record<Owner, GuestCard>>;
  /** Hosts that reach no relay for the time being. */
  readonly unreachable = new Set<Owner>();
  onCommit: () => void = () => undefined;
  tookBack = false;
  owner: Owner = 'source';
  epoch = 1;
  /** The present process of the relay. */
  process!: Host;
  /** The relay's disk accepts no more writes. */
  diskFull = false;
  /** Frames for the guest were possibly lost: a connection to the relay broke, or the relay lost its memory. */
  mayHaveLost = false;
  vm!: CreatedVm;
  sourcePort!: OwnerPort;
  targetPort: TargetPort | null = null;
  private relay!: Relay;
  private readonly hosts: Readonly<Record<Owner, Host>>;
  private readonly records = new Map<string, string>();
  private readonly open = { source: 0, target: 0 };
  private toOutside: ((frame: Uint8Array) => void) | null = null;
  private sentToGuest = 0;
  private sentAt = 0;
  private sentByGuest = 0;
  private guestSentAt = 0;
  private sending = false;
  private readonly randomBytes = repeatedBytes();

  private constructor(world: World, hosts: Readonly<Record<Owner, Host>>) {
    this.world = world;
    this.hosts = hosts;
    const violation = (what: string): void => void this.violations.push(what);
    this.cards = { source: new GuestCard('source', violation), target: new GuestCard('target', violation) };
    for (const side of ['source', 'target'] as const) {
      hosts[side].addSource(() => this.arrivals(side, 'toClient'));
    }
  }

  /** A relay, and a VM of the source's that is attached to it. */
  static async open(world: World, source: Host, target: Host): Promise<RelayArbiter> {
    const arbiter = new RelayArbiter(world, { source, target });
    arbiter.start();
    await arbiter.createVm();
    return arbiter;
  }

  get vmId(): VmId {
    return this.vm.vmId as VmId;
  }

  get isUp(): boolean {
    return this.process.isUp;
  }

  get sourceListeners(): number {
    return this.open.source;
  }

  get targetListeners(): number {
    return this.open.target;
  }

  /** The relay, as far back as its present process remembers, has let a commit wait for `drained`. */
  get hasLetCommitWait(): boolean {
    const trace = this.relay.trace('default', this.relay.defaultRoomKey);
    return trace?.entries.some(({ step }) => step.endsWith('waits for drained')) ?? false;
  }

  /** Sockets of a host that are in use. */
  sockets(side: Owner): MemorySocket[] {
    return [...this.network.sockets].filter((socket) => socket.name === side && socket.open);
  }

  sourceLease(_: Host, migrationId: MigrationId): SourceLease {
    const lease = this.sourcePort.sourceLease(migrationId, TARGET_HOST);
    return {
      epoch: lease.epoch,
      hold: () => lease.hold(),
      drained: () => lease.drained(),
      release: () => lease.release(),
      abort: () => lease.abort(),
      onOutcome: (listener) =>
        this.counted(
          'source',
          lease.onOutcome((outcome: LeaseOutcome) => {
            this.world.note(`source hears that the VM is owned by ${outcome.owner === 'nobody' ? 'nobody' : `the ${outcome.owner} at epoch ${outcome.epoch}`}`);
            listener(outcome);
          }),
        ),
      onWaiting: (listener) => this.counted('source', lease.onWaiting(listener)),
    };
  }

  targetLease(_: Host, migrationId: MigrationId): TargetLease {
    const port = attachTarget({ ...this.portOptions('target'), epoch: 1 as LeaseEpoch, migrationId, fromHostId: SOURCE_HOST });
    this.targetPort = port;
    const lease = port.targetLease();
    return {
      probe: () => lease.probe(),
      commit: () => lease.commit(),
      alive: () => lease.alive(),
      onRevoked: (listener) => this.counted('target', lease.onRevoked(listener)),
      dispose: () => lease.dispose(),
    };
  }

  plug(side: Owner, vm: ModelVm): void {
    const card = this.cards[side];
    card.plug(vm);
    vm.onStep = (counter) => {
      card.hasRoom();
      const now = this.world.clock.now();
      if (this.sentByGuest > MANY_FRAMES ? now < this.guestSentAt + SLOW_FRAME_EVERY_MS : !this.world.random.chance(SENDS)) return;
      this.sentByGuest++;
      this.guestSentAt = now;
      const frame = ipFrame(this.vm, GATEWAY, counter);
      frame[SENDER_AT] = side === 'source' ? 1 : 2;
      card.send(frame);
    };
  }

  /** The process dies. `noticed`: its machine lives and says so; otherwise everything is silent. */
  crash(noticed: boolean): void {
    this.mayHaveLost = true;
    this.process.kill();
    this.network.relay = null;
    this.toOutside = null;
    for (const socket of [...this.network.sockets]) socket.die('server', noticed);
  }

  /** The next process, with what the last one stored. */
  start(): void {
    this.process = this.world.addHost('relay');
    this.relay = createRelay({
      store: this.store(),
      clock: this.process.clock,
      randomBytes: this.randomBytes,
      openGateway: (lan) => {
        const socket = lan.plug({ receive: (frame) => this.gotOut(frame) }, { mac: GATEWAY_MAC });
        this.toOutside = (frame) => socket.send(frame);
        return { dispose: () => undefined };
      },
      onTrouble: (error) => void this.violations.push(`The relay met an error of its own: ${String(error)}`),
    });
    this.network.relay = this.relay;
    this.process.addSource(() => [...this.arrivals(null, 'toServer'), ...this.outside()]);
  }

  /** As the host's tab is closed, it says that its VM has ended, if it has one and reaches the relay (NR26). */
  lastWord(side: Owner): void {
    const port = side === 'source' ? this.sourcePort : this.portOfTarget();
    if (!this.isUp || this.unreachable.has(side) || port === null) return;
    const { room, key, hostId, hostToken } = this.portOptions(side).credentials;
    const nowhere = {
      backlogBytes: 0,
      sendText: () => undefined,
      sendUtf8: () => undefined,
      sendBinary: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      close: () => undefined,
      terminate: () => undefined,
    };
    const socket = this.relay.connect('host', nowhere);
    const say = (message: HostToRelay): void => socket.text(JSON.stringify(message));
    say({ type: 'hello', version: RELAY_PROTOCOL_VERSION, room, key, hostId, hostToken, name: side });
    say({ type: 'destroy-vm', requestId: 99, vmId: this.vmId, epoch: port.epoch, ending: { how: 'tab-closed' } });
    socket.closed(true);
  }

  /** The room's owner removes the host, and so changes the key. False if the relay does not do that now (NR45). */
  remove(side: Owner): boolean {
    if (!this.isUp) return false;
    try {
      this.relay.owner('default', this.relay.defaultOwnerSecret)?.removeHost(HOSTS[side]);
      this.mayHaveLost = true;
      return true;
    } catch (error) {
      if (error instanceof RequestRefused || error instanceof StoreRefusal) return false;
      throw error;
    }
  }

  /** The host's connections break, and no new one opens until join(). */
  part(side: Owner): void {
    this.mayHaveLost = true;
    this.unreachable.add(side);
    for (const socket of this.sockets(side)) socket.break('toServer', 'toClient');
  }

  join(side: Owner): void {
    this.unreachable.delete(side);
  }

  /** The port of the VM's owner is attached at its epoch, and nothing waits. */
  get isQuiet(): boolean {
    const port = this.ownersPort;
    if (!this.isUp || port === null) return false;
    const { heldFrames, heldBytes } = this.relay.stats();
    return port.state.kind === 'connected' && port.epoch === this.epoch && heldFrames + heldBytes + port.queuedFrames === 0;
  }

  private get ownersPort(): OwnerPort | null {
    return this.owner === 'source' ? this.sourcePort : this.portOfTarget();
  }

  /** Once the target has learnt that the VM is its own. */
  private portOfTarget(): OwnerPort | null {
    try {
      return this.targetPort?.asOwner() ?? null;
    } catch {
      return null;
    }
  }

  /** Sends one last frame for the guest; returns its number. */
  sendLast(): number {
    this.sending = false;
    this.sendToGuest();
    return this.sentToGuest;
  }

  /** Closes the port of the host that still has the VM, as its tab does when it is closed. */
  closeOwnersPort(): void {
    this.sending = false;
    if (!this.hosts[this.owner].isDead) this.ownersPort?.dispose();
  }

  /** Frames for the guest that waited for longer than they may (NR18). */
  get droppedByBounds(): number {
    return this.relay.stats().dropped['held-too-old'] ?? 0;
  }

  /** For a failure's message. */
  describe(): string {
    const { state, epoch } = this.sourcePort;
    const dropped = (port: OwnerPort | TargetPort | null): string => JSON.stringify(port?.dropped() ?? {});
    return `owner ${this.owner} epoch ${this.epoch}; source ${JSON.stringify(state)} epoch ${epoch} ${dropped(this.sourcePort)}; target ${JSON.stringify(this.targetPort?.state ?? null)} ${dropped(this.targetPort)}; relay ${this.isUp ? JSON.stringify(this.relay.stats()) : 'down'}`;
  }

  /** What is left after everything was closed. */
  leftovers(): string[] {
    const { sockets, heldFrames, heldBytes, refusals } = this.relay.stats();
    const left: string[] = [];
    for (const side of ['source', 'target'] as const) {
      if (this.hosts[side].isDead) continue;
      if (this.cards[side].listeners > 0) left.push(`${this.cards[side].listeners} listeners at the ${side}'s network card`);
      if (this.sockets(side).length > 0) left.push(`${this.sockets(side).length} sockets of the ${side}`);
    }
    if (sockets > 0) left.push(`${sockets} sockets at the relay`);
    if (heldFrames + heldBytes > 0) left.push(`${heldFrames} held frames at the relay`);
    // One of them is its heartbeat.
    if (this.process.openTimers > 1) left.push(`${this.process.openTimers - 1} timers at the relay`);
    for (const name of ['not-json', 'unknown-message', 'bad-frames', 'message-too-long', 'internal'] as const) {
      if (refusals[name] !== undefined) left.push(`${refusals[name]} messages refused as ${name}`);
    }
    return left;
  }

  private async createVm(): Promise<void> {
    const client = connectHost({
      url: 'ws://relay/relay/host',
      room: 'default' as RoomName,
      key: this.relay.defaultRoomKey,
      hostId: SOURCE_HOST,
      hostToken: token('source'),
      name: 'source',
      clock: this.hosts.source.clock,
      openSocket: this.network.openSocket('source'),
      random: () => 0,
    });
    let made: CreatedVm | null = null;
    void client.createVm({ memoryBytes: 1 << 27 }).then((vm) => {
      made = vm;
    });
    await this.world.run(() => made !== null);
    client.dispose();
    this.vm = made!;
    this.sourcePort = attachOwner({ ...this.portOptions('source'), epoch: 1 as LeaseEpoch });
    await this.world.run(() => this.sourcePort.state.kind === 'connected');
    this.sending = true;
  }

  private portOptions(side: Owner) {
    return {
      url: 'ws://relay/relay/port',
      credentials: { room: 'default' as RoomName, key: this.relay.defaultRoomKey, hostId: HOSTS[side], hostToken: token(side) },
      vmId: this.vmId,
      nic: this.cards[side],
      clock: this.hosts[side].clock,
      openSocket: ((url, events) => {
        const socket = this.network.openSocket(side)(url, events);
        if (this.unreachable.has(side)) for (const opened of this.sockets(side)) opened.break('toServer', 'toClient');
        return socket;
      }) satisfies ReturnType<MemoryNetwork['openSocket']>,
      random: () => this.world.random.next(),
    };
  }

  /** The store of all processes. What is written there decides who owns the VM. */
  private store(): ReturnType<typeof memoryKeyValueStore> {
    const store = memoryKeyValueStore(this.records);
    return {
      ...store,
      put: (key, value) => {
        if (this.diskFull) throw new StoreRefusal('full');
        store.put(key, value);
        if (key.startsWith('vm/')) this.stored((value as StoredVm).lease);
      },
    };
  }

  private stored({ ownerHostId, epoch }: StoredVm['lease']): void {
    const owner: Owner = ownerHostId === SOURCE_HOST ? 'source' : 'target';
    if (epoch < this.epoch) this.violations.push(`The epoch fell from ${this.epoch} to ${epoch}`);
    this.epoch = epoch;
    if (owner === this.owner) return;
    this.owner = owner;
    this.world.note(`the relay stores that the ${owner} owns the VM, epoch ${epoch}`);
    if (owner === 'target') {
      this.cards.target.continues(this.cards.source);
      this.onCommit();
    } else {
      this.tookBack = true;
    }
  }

  private gotOut(frame: Uint8Array): void {
    if (frame[12] !== 0x08 || frame[13] !== 0x00) return;
    this.frames.push({ from: frame[SENDER_AT] === 1 ? 'source' : 'target', owner: this.owner, counter: numberOf(frame) });
  }

  /** What may arrive next, at the relay or at a host. */
  private arrivals(side: Owner | null, direction: Direction): Action[] {
    return this.network
      .arrivals(direction, side)
      .map(({ socket, deliver }) => ({ name: side === null ? `hears the ${socket.name}` : 'hears the relay', run: deliver }));
  }

  private outside(): Action[] {
    if (!this.sending || this.sentToGuest >= FRAMES_TO_GUEST || this.world.clock.now() < this.sentAt + FRAME_EVERY_MS) return [];
    return [{ name: 'a frame comes for the guest', idle: true, run: () => this.sendToGuest() }];
  }

  private sendToGuest(): void {
    this.sentAt = this.world.clock.now();
    this.toOutside?.(ipFrame(GATEWAY, this.vm, ++this.sentToGuest));
  }

  private counted(side: Owner, subscription: Disposable): Disposable {
    this.open[side]++;
    return disposable(() => {
      this.open[side]--;
      subscription.dispose();
    });
  }
}

function token(side: Owner): string {
  return `token-of-${side}-0123456789`;
}
