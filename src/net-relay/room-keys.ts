/**
 * The keys of the rooms. The server makes the default room's; any other room's is set by the host that opens it first.
 * Keys outlive the room and a restart. Only digests are kept, except of the key that the server must print again.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { RoomName } from '../shared/ids.ts';
import type { RelayStore } from './relay-store.ts';
import { DEFAULT_LIMITS } from './server-limits.ts';

export const DEFAULT_ROOM = 'default' as RoomName;

export type KeyCheck = 'accepted' | 'refused' | 'unknown-room';

export function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares in constant time. */
export function matchesDigest(secret: string, hexDigest: string): boolean {
  const expected = Buffer.from(hexDigest, 'hex');
  const actual = digestOf(secret);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

export class RoomKeys {
  private readonly store: RelayStore;
  private readonly maxRooms: number;
  readonly defaultKey: string;

  /** `makeKey` must give 128 bits or more in the letters of a room key; `maxRooms`: how many may ever be opened. */
  constructor(store: RelayStore, makeKey: () => string, maxRooms: number = DEFAULT_LIMITS.knownRooms) {
    this.store = store;
    this.maxRooms = maxRooms;
    const known = store.rooms.get(DEFAULT_ROOM)?.key;
    this.defaultKey = known ?? makeKey();
    if (known === undefined) store.putRoom(DEFAULT_ROOM, { keyDigest: digestOf(this.defaultKey).toString('hex'), key: this.defaultKey });
  }

  check(room: RoomName, key: string): KeyCheck {
    const record = this.store.rooms.get(room);
    // An unknown room costs the same comparison, so that time does not tell which rooms exist.
    const matches = matchesDigest(key, record?.keyDigest ?? UNKNOWN_DIGEST);
    if (record === undefined) return 'unknown-room';
    return matches ? 'accepted' : 'refused';
  }

  /** The first host of a room sets its key. False if there are too many rooms already; throws StoreRefusal if it cannot be stored. */
  claim(room: RoomName, key: string): boolean {
    if (this.store.rooms.size >= this.maxRooms) return false;
    this.store.putRoom(room, { keyDigest: digestOf(key).toString('hex') });
    return true;
  }
}

const UNKNOWN_DIGEST = '0'.repeat(64);
