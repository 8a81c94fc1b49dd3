/**
 * The relay: opens sockets and their sessions, sends the heartbeats, answers what the server's API asks. One per
 * process; dispose() closes everything it opened.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { RoomName } from '../../shared/ids.ts';
import { FirstMessages, type AnyConnection, type RelayRefusal, type SocketKind } from './first-messages.ts';
import { Heartbeats } from './heartbeats.ts';
import { Counters } from '../../shared/counters.ts';
import { KeyTries } from './key-tries.ts';
import type { OpenGateway } from '../lan/lan.ts';
import type { EndedVm, HostInfo, LastWord, PortForward } from '../protocol/relay-protocol.ts';
import { allowOrigins, type OriginCheck } from './origins.ts';
import { AddressPaces } from '../limits/pace.ts';
import { OpenRooms, type RoomOwner } from './open-rooms.ts';
import { openRelayStore, type RelayStore } from '../store/relay-store.ts';
import { StoreUnsure, type KeyValueStore } from '../store/key-value-store.ts';
import { RoomKeys } from './room-keys.ts';
import { DEFAULT_LIMITS, MAX_WAITING_BYTES, SHARED_PACE, type ServerLimits } from '../limits/server-limits.ts';
import { CloseCode, type ServerSocket, type ServerSocketEvents } from './server-socket.ts';
import type { TraceAt, TraceEntry } from '../../shared/trace.ts';
import { systemClock } from '../../shared/system-clock.ts';
import { tooMuchWaiting } from './waiting.ts';
import { createWebSocketAcceptor } from './web-socket-server.ts';

export interface RelayOptions {
  /** Keeps leases, keys and VMs across a restart. */
  readonly store: KeyValueStore;
  readonly clock?: Clock;
  /** The wall clock of all guests, in milliseconds since 1970; the process's own unless given. */
  readonly wallMs?: () => number;
  /** Cryptographically strong. */
  readonly randomBytes?: (count: number) => Uint8Array;
  readonly openGateway?: OpenGateway;
  /** Pages that may open sockets; this server's own unless given. */
  readonly allowsOrigin?: OriginCheck;
  /** Shared with other code that checks keys, so that one limit covers all. */
  readonly tries?: KeyTries;
  /** The code that is asked for when somebody opens a new room; null: anybody may. */
  readonly openCode?: (defaultRoomKey: string) => string | null;
  /** DEFAULT_LIMITS unless given. */
  readonly limits?: ServerLimits;
  /** An internal error of the relay; the socket that met it was closed, everything else goes on. */
  readonly onTrouble?: (error: unknown) => void;
  /** Each step of a room's trace. */
  readonly onStep?: (room: RoomName, entry: TraceEntry) => void;
  /** The store can no longer say what is stored. The relay is gone, as after a crash, and has answered nobody. */
  readonly onStoreUnsure?: (error: StoreUnsure) => void;
}

interface RoomStatus {
  readonly hosts: readonly HostInfo[];
  readonly vms: readonly {
    readonly id: string;
    readonly name: string;
    readonly mac: string;
    readonly ip: string;
    readonly ownerHostId: string;
    readonly ownerPresent: boolean;
    readonly epoch: number;
    readonly forwards: readonly PortForward[];
    /** Frames refused or lost, by name. */
    readonly dropped: Readonly<Record<string, number>>;
  }[];
  /** VMs that have ended and that nobody has dismissed yet, oldest first. */
  readonly ended: readonly EndedVm[];
}

interface RelayStats {
  readonly sockets: number;
  readonly rooms: number;
  readonly vms: number;
  readonly heldFrames: number;
  readonly heldBytes: number;
  /** Refused sockets and messages, by name. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Frames dropped, by name, over all rooms. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Records of the store that could not be understood. */
  readonly unreadable: readonly string[];
}

export interface Relay extends Disposable {
  readonly defaultRoomKey: string;
  /** Takes upgrades of `/relay/host`, `/relay/port` and `/relay/lane` (behind any prefix); false for any other path, which it leaves alone. `address`: of the caller, for limits that an address has; null: none. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, address?: string | null): boolean;
  /** True if the room exists and this is its key. */
  checkKey(room: string, key: string): boolean;
  /** Null if there is no such room, or the key is not its key. */
  roomStatus(room: string, key: string): RoomStatus | null;
  /** The secret of the default room's owner, which the server prints. */
  readonly defaultOwnerSecret: string;
  /** What the owner of a room may do; null if nobody owns it, or the secret is not the owner's. */
  owner(room: string, secret: string): RoomOwner | null;
  /** What happened in the room, newest last, and the current time by the same clock. Null as above. */
  trace(room: string, key: string): TraceAt | null;
  /** The last message of a tab that leaves this room. False if there is no such room, or the key is not its key. */
  lastWord(room: string, key: string, word: LastWord): boolean;
  stats(): RelayStats;
  /** For tests and other transports: a socket that is open already. */
  connect(kind: SocketKind, socket: ServerSocket, caller?: Partial<Caller>): ServerSocketEvents;
}

interface Caller {
  /** False: another site's page. */
  readonly originAllowed: boolean;
  readonly address: string | null;
}

export type { SocketKind } from './first-messages.ts';

/** Rooms expire after a month, so there is no need to look each second. */
const EXPIRE_ROOMS_EVERY_BEATS = 60;

const SOCKET_KINDS: readonly SocketKind[] = ['host', 'port', 'lane'];

export function createRelay(options: RelayOptions): Relay {
  return new RelayServer(options);
}

class RelayServer implements Relay {
  private readonly clock: Clock;
  private readonly wallMs: () => number;
  private readonly store: RelayStore;
  private readonly keys: RoomKeys;
  private readonly options: RelayOptions;
  private readonly limits: ServerLimits;
  private readonly allowsOrigin: OriginCheck;
  private readonly acceptor = createWebSocketAcceptor();
  private readonly rooms: OpenRooms;
  private readonly firstMessages: FirstMessages;
  private readonly connections = new Set<AnyConnection>();
  private readonly addressPaces = new AddressPaces(SHARED_PACE);
  private readonly refusals = new Counters<RelayRefusal>();
  private heartbeats: Disposable | null = null;
  private disposed = false;
  private isMade = false;

  constructor(options: RelayOptions) {
    this.options = options;
    this.limits = options.limits ?? DEFAULT_LIMITS;
    this.allowsOrigin = options.allowsOrigin ?? allowOrigins();
    const clock = options.clock ?? systemClock;
    this.clock = { now: () => clock.now(), setTimeout: (callback, ms) => clock.setTimeout(() => void this.guarded(callback), ms) };
    this.wallMs = options.wallMs ?? (() => Date.now());
    const random = options.randomBytes ?? ((count) => randomBytes(count));
    this.store = openRelayStore(this.watched(options.store));
    this.keys = new RoomKeys(this.store, () => Buffer.from(random(24)).toString('base64url'), this.limits.storedRooms, this.wallMs, options.openCode);
    this.rooms = new OpenRooms({
      keys: this.keys,
      tries: options.tries ?? new KeyTries(clock),
      limits: this.limits,
      store: this.store,
      clock: this.clock,
      wallMs: this.wallMs,
      randomBytes: random,
      openGateway: options.openGateway ?? null,
      noted: (room, entry) => options.onStep?.(room, entry),
    });
    this.firstMessages = new FirstMessages(this.rooms, this.refusals, this.clock);
    this.isMade = true;
    this.heartbeats = this.keepBeat();
  }

  get defaultRoomKey(): string {
    return this.keys.defaultKey;
  }

  get defaultOwnerSecret(): string {
    return this.keys.defaultOwnerSecret;
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, address: string | null = null): boolean {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const kind = SOCKET_KINDS.find((each) => path.endsWith(`/relay/${each}`));
    if (kind === undefined || this.disposed) return false;
    this.acceptor.accept(request, socket, head, (webSocket) => this.connect(kind, webSocket, { originAllowed: this.allowsOrigin(request), address }));
    return true;
  }

  connect(kind: SocketKind, socket: ServerSocket, { originAllowed = true, address = null }: Partial<Caller> = {}): ServerSocketEvents {
    const connection = this.firstMessages.connection(kind, socket, address);
    const full =
      this.connections.size >= this.limits.sockets
        ? 'relay-full'
        : address !== null && this.addressPaces.socketsOf(address) >= this.limits.socketsPerAddress
          ? 'address-full'
          : null;
    this.connections.add(connection);
    if (address !== null) connection.sharePace(this.addressPaces.enter(address, this.clock.now()));
    if (this.disposed) connection.drop(CloseCode.goingAway, 'restarting');
    else if (!originAllowed) this.firstMessages.refuse(connection, 'origin');
    else if (full !== null) this.firstMessages.refuse(connection, full);
    const guarded = (act: () => void): void => {
      if (!this.guarded(act)) connection.drop(CloseCode.internal, 'internal');
    };
    return {
      text: (text) => guarded(() => connection.events.text(text)),
      binary: (bytes) => guarded(() => connection.events.binary(bytes)),
      closed: (orderly) => {
        this.connections.delete(connection);
        if (address !== null) this.addressPaces.leave(address);
        guarded(() => connection.events.closed(orderly));
      },
    };
  }

  checkKey(room: string, key: string): boolean {
    return this.keys.check(room as RoomName, key) === 'accepted';
  }

  roomStatus(name: string, key: string): RoomStatus | null {
    if (!this.checkKey(name, key)) return null;
    const room = this.rooms.get(name);
    if (room === undefined) return { hosts: [], vms: [], ended: this.rooms.endedIn(name) };
    return {
      hosts: room.hosts.list(),
      vms: room.listVms().map(({ id, name: vmName, mac, ip, hostId, ownerPresent, epoch, forwards }) => ({
        id,
        name: vmName,
        mac,
        ip,
        ownerHostId: hostId,
        ownerPresent,
        epoch,
        forwards,
        dropped: room.vm(id)?.port.drops.toJSON() ?? {},
      })),
      ended: room.listEnded(),
    };
  }

  lastWord(room: string, key: string, word: LastWord): boolean {
    if (!this.checkKey(room, key)) return false;
    this.guarded(() => this.rooms.get(room)?.lastWord(word));
    return true;
  }

  trace(room: string, key: string): TraceAt | null {
    return this.checkKey(room, key) ? (this.rooms.get(room)?.trace.asItIs() ?? { now: this.clock.now(), entries: [] }) : null;
  }

  owner(room: string, secret: string): RoomOwner | null {
    return this.rooms.owner(room, secret);
  }

  stats(): RelayStats {
    const dropped: Record<string, number> = {};
    const add = (counts: Readonly<Record<string, number>>): void => {
      for (const [name, count] of Object.entries(counts)) dropped[name] = (dropped[name] ?? 0) + count;
    };
    let vms = 0;
    let heldFrames = 0;
    let heldBytes = 0;
    for (const room of this.rooms) {
      add(room.lanSwitch.drops.toJSON());
      for (const vm of room.allVms()) {
        vms += 1;
        heldFrames += vm.port.held.frames;
        heldBytes += vm.port.held.bytes;
        add(vm.port.drops.toJSON());
      }
    }
    return {
      sockets: this.connections.size,
      rooms: this.rooms.size,
      vms,
      heldFrames,
      heldBytes,
      refusals: this.refusals.toJSON(),
      dropped,
      unreadable: this.store.unreadable,
    };
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.heartbeats?.dispose();
    // Clients try again after this code: the relay is most likely restarting.
    for (const connection of [...this.connections]) connection.drop(CloseCode.goingAway, 'restarting');
    this.connections.clear();
    // If the store fails while the relay is made, the relay ends before it has rooms.
    if (this.isMade) this.rooms.dispose();
    this.acceptor.dispose();
  }

  /** If the store cannot say what is stored, the relay ends at once and answers nobody any more. */
  private watched(store: KeyValueStore): KeyValueStore {
    const watch = (act: () => void): void => {
      try {
        act();
      } catch (error) {
        if (error instanceof StoreUnsure && !this.disposed) {
          this.dispose();
          this.options.onStoreUnsure?.(error);
        }
        throw error;
      }
    };
    return {
      entries: () => store.entries(),
      put: (key, value, use) => watch(() => store.put(key, value, use)),
      remove: (key) => watch(() => store.remove(key)),
      close: () => store.close(),
    };
  }

  /** False if `act` met an internal error of the relay. */
  private guarded(act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      if (this.disposed) return false;
      this.refusals.add('internal');
      this.options.onTrouble?.(error);
      return false;
    }
  }

  /** The heartbeats, and with each beat everything that is done once a second. */
  private keepBeat(): Heartbeats<AnyConnection> {
    let beats = 0;
    return new Heartbeats<AnyConnection>(this.clock, {
      open: () => this.connections,
      beat: (connection) => {
        if (connection.isOpen) connection.beat({ type: 'heartbeat', at: this.clock.now(), wallMs: this.wallMs(), echo: connection.echo });
        else this.connections.delete(connection);
      },
      besides: () => {
        for (const connection of tooMuchWaiting(this.connections, MAX_WAITING_BYTES)) this.guarded(() => connection.letGo());
        beats += 1;
        if (beats % EXPIRE_ROOMS_EVERY_BEATS === 1) this.guarded(() => this.keys.expire((name) => this.rooms.get(name) !== undefined));
        this.rooms.beat((act) => this.guarded(act));
      },
    });
  }
}
