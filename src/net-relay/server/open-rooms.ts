/**
 * The rooms that are open: who is admitted to them, when they open and close, what their owners may do. A room is open
 * while somebody is in it or it has a VM, and for a while after.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { HostId, RoomName } from '../../shared/ids.ts';
import { EndedVms } from './ended-vms.ts';
import type { KeyTries } from './key-tries.ts';
import type { OpenGateway } from '../lan/lan.ts';
import { RELAY_PROTOCOL_VERSION, type EndedVm } from '../protocol/relay-protocol.ts';
import { vmRefusal, type REFUSALS } from './refusals.ts';
import type { RelayStore } from '../store/relay-store.ts';
import type { TraceEntry } from '../../shared/trace.ts';
import { RequestRefused } from './request-refused.ts';
import { hexDigestOf, type Claim, type RoomKeys } from './room-keys.ts';
import { Room } from './room.ts';
import type { ServerLimits } from '../limits/server-limits.ts';

export interface OpenRoomsOptions {
  readonly keys: RoomKeys;
  readonly tries: KeyTries;
  readonly limits: ServerLimits;
  readonly store: RelayStore;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly openGateway: OpenGateway | null;
  /** Each step of a room's trace. */
  readonly noted: (room: RoomName, entry: TraceEntry) => void;
}

/** What every socket says first. */
export interface Credentials extends Claim {
  readonly version: number;
  readonly room: string;
  readonly key: string;
  readonly hostId: string;
  readonly hostToken: string;
}

export interface Admission {
  readonly room: Room;
  /** Shown by the secret it brought; true for a room that it opened. */
  readonly isOwner: boolean;
  /** Absent: the key was the room's. Otherwise the host is known by its token or as the owner, and this is the room's key; null if nobody knows it any more. */
  readonly key?: string | null;
}

/** `closed-room`: the key is right, but the room has no host and no VM. */
export type NoAdmission = Exclude<keyof typeof REFUSALS, 'replaced' | 'removed' | 'room-closed'> | 'closed-room';

/** What the owner of a room may do. All throw StoreRefusal: then nothing has happened, or the owner must ask again. */
export interface RoomOwner {
  /** Returns the key that the room has from now on; hosts in the room are told. */
  changeKey(): string;
  /** Ends the host's VMs, and gives the room a new key, which it returns: the host had the old one. Throws RequestRefused with a sentence. */
  removeHost(hostId: string): string;
  /** Ends all VMs, removes everybody, frees the name. The default room is only emptied, and gets another key, which is returned. Throws RequestRefused. */
  close(): string | null;
}

export class OpenRooms implements Disposable {
  private readonly options: OpenRoomsOptions;
  private readonly rooms = new Map<RoomName, Room>();
  /** The addresses that opened the rooms. */
  private readonly openers = new Map<RoomName, string | null>();
  /** By room, open or not; what is remembered of rooms that are not open is dropped first. */
  private readonly ended = new Map<RoomName, EndedVms>();

  constructor(options: OpenRoomsOptions) {
    this.options = options;
    for (const name of options.store.vms.keys()) this.open(name, null);
  }

  get size(): number {
    return this.rooms.size;
  }

  get(name: string): Room | undefined {
    return this.rooms.get(name as RoomName);
  }

  [Symbol.iterator](): Iterator<Room> {
    return [...this.rooms.values()][Symbol.iterator]();
  }

  /** VMs of the room that have ended, oldest first; also of a room that is not open. */
  endedIn(name: string): EndedVm[] {
    return this.ended.get(name as RoomName)?.list(this.options.clock.now()) ?? [];
  }

  /** Checks the credentials of a caller from this address. `mayOpen`: a new room opens for it. */
  admit(credentials: Credentials, address: string | null, mayOpen: boolean): Admission | { readonly cause: NoAdmission } {
    const { keys, tries, limits } = this.options;
    if (credentials.version !== RELAY_PROTOCOL_VERSION) return { cause: 'version' };
    const name = credentials.room as RoomName;
    const known = this.rooms.get(name);
    const tokenDigest = hexDigestOf(credentials.hostToken);
    // A host in the room may go on, no matter who guesses keys in the same network, and with the key that it once came with.
    const isMember = known?.hosts.tokenDigest(credentials.hostId as HostId) === tokenDigest;
    if (!isMember && !tries.allows(address)) return { cause: 'too-many-tries' };
    const check = keys.check(name, credentials.key);
    const isOwner = (): boolean => credentials.ownerSecret !== undefined && keys.isOwners(name, credentials.ownerSecret);
    const hasOldKey = check === 'refused' && ((isMember && keys.isFormer(name, credentials.key)) || isOwner());
    if (check === 'refused' && !hasOldKey) tries.wrong(address);
    if ((check === 'refused' && !hasOldKey) || (check === 'unknown-room' && !mayOpen)) return { cause: 'key' };
    if (known === undefined && !mayOpen) return { cause: 'closed-room' };
    if (known === undefined && this.rooms.size >= limits.rooms) return { cause: 'relay-full' };
    if (known === undefined && this.hasOpenedEnough(address)) return { cause: 'address-full' };
    if (check === 'unknown-room' && !keys.claim(name, credentials.key, credentials)) {
      if (credentials.openCode !== undefined) tries.wrong(address);
      return { cause: 'open-code' };
    }
    const room = known ?? this.open(name, address);
    const host = room.hosts.admit(credentials.hostId as HostId, tokenDigest);
    if (host !== 'ok') return { cause: host };
    return hasOldKey ? { room, isOwner: isOwner(), key: keys.changedKey(name) } : { room, isOwner: isOwner() };
  }

  /** Null if the secret is not the owner's, or nobody owns the room. */
  owner(name: string, secret: string): RoomOwner | null {
    const { keys } = this.options;
    if (!keys.isOwners(name as RoomName, secret)) return null;
    const changeKey = (besides?: HostId): string => {
      const key = keys.change(name as RoomName);
      this.get(name)?.tellKey(key, besides);
      return key;
    };
    return {
      changeKey: () => changeKey(),
      removeHost: (hostId) => {
        const room = this.get(name);
        if (room === undefined) throw new RequestRefused('Nobody is in this room now.');
        room.checkRemovable(hostId);
        const key = changeKey(hostId as HostId);
        room.removeHost(hostId);
        return key;
      },
      close: () => {
        const room = this.get(name);
        room?.checkClosable();
        room?.endAllVms();
        const key = keys.forget(name as RoomName);
        room?.close();
        this.remove(name as RoomName);
        this.ended.delete(name as RoomName);
        return key;
      },
    };
  }

  /** Once per second of the relay's uptime. `guarded`: an error in one room must not affect the others. */
  beat(guarded: (act: () => void) => void): void {
    for (const [name, room] of this.rooms) {
      guarded(() => {
        if (!room.beat()) return;
        this.remove(name);
        this.options.keys.closed(name);
        if (this.ended.get(name)?.isEmpty === true) this.ended.delete(name);
      });
    }
  }

  dispose(): void {
    for (const room of this.rooms.values()) room.dispose();
    this.rooms.clear();
  }

  private remove(name: RoomName): void {
    this.rooms.get(name)?.dispose();
    this.rooms.delete(name);
    this.openers.delete(name);
  }

  private hasOpenedEnough(address: string | null): boolean {
    if (address === null) return false;
    return [...this.openers.values()].filter((opener) => opener === address).length >= this.options.limits.roomsPerAddress;
  }

  private open(name: RoomName, opener: string | null): Room {
    const { keys, limits, clock, wallMs, store, randomBytes, openGateway, noted } = this.options;
    this.openers.set(name, opener);
    const room = new Room(name, {
      keepKey: () => keys.keep(name),
      refusesVmOf: (address) =>
        vmRefusal(
          [...this].flatMap((each) => [...each.allVms()]),
          address,
          limits,
        ),
      clock,
      wallMs,
      store,
      randomBytes,
      openGateway,
      noted,
      ended: this.rememberEnded(name),
    });
    this.rooms.set(name, room);
    return room;
  }

  private rememberEnded(name: RoomName): EndedVms {
    const ended = this.ended.get(name) ?? new EndedVms();
    this.ended.delete(name);
    this.ended.set(name, ended);
    for (const oldest of this.ended.keys()) {
      if (this.ended.size <= this.options.limits.rooms) break;
      if (!this.rooms.has(oldest) && oldest !== name) this.ended.delete(oldest);
    }
    return ended;
  }
}
