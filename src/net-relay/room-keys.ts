/**
 * The keys of the rooms. The server makes the default room's; any other room's is set by the host that opens it first.
 * The key of a room that has had a VM outlives the room and a restart. Only digests are kept, except of the key that the server must print again.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { RoomName } from '../shared/ids.ts';
import type { RelayStore } from './relay-store.ts';
import { triesToStore } from './store/key-value-store.ts';
import { KEEP_UNUSED_ROOM_MS } from './server-limits.ts';

export const DEFAULT_ROOM = 'default' as RoomName;

/** Each is a write to the disk. */
const EXPIRED_AT_A_TIME = 20;

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
  private readonly maxStored: number;
  private readonly wallMs: () => number;
  private readonly openedAt: number;
  /** Digests of the keys of open rooms that have had no VM yet. */
  private readonly unstored = new Map<RoomName, string>();
  /** When rooms were last used, as far as the store did not take it yet. */
  private readonly unnoted = new Map<RoomName, number>();
  private readonly openCode: string | null;
  readonly defaultKey: string;

  /** `makeKey` must give 128 bits or more in the letters of a room key; `maxStored`: rooms; `wallMs`: milliseconds since 1970; `openCode`: what opens a new room, null: anything. */
  constructor(store: RelayStore, makeKey: () => string, maxStored: number, wallMs: () => number, openCode?: (defaultKey: string) => string | null) {
    this.store = store;
    this.maxStored = maxStored;
    this.wallMs = wallMs;
    this.openedAt = wallMs();
    const known = store.rooms.get(DEFAULT_ROOM)?.key;
    this.defaultKey = known ?? makeKey();
    if (known === undefined) store.putRoom(DEFAULT_ROOM, { keyDigest: digestOf(this.defaultKey).toString('hex'), key: this.defaultKey, usedAt: wallMs() });
    this.openCode = openCode?.(this.defaultKey) ?? null;
  }

  check(room: RoomName, key: string): KeyCheck {
    const digest = this.store.rooms.get(room)?.keyDigest ?? this.unstored.get(room);
    // An unknown room costs the same comparison, so that time does not tell which rooms exist.
    const matches = matchesDigest(key, digest ?? UNKNOWN_DIGEST);
    if (digest === undefined) return 'unknown-room';
    return matches ? 'accepted' : 'refused';
  }

  /**
   * The first host of a room sets its key. False if that takes a code, and this is not it. A room that not anybody can
   * open is stored at once, if it can be: who was invited comes back after a restart without having to open it anew.
   */
  claim(room: RoomName, key: string, code?: string): boolean {
    const { openCode } = this;
    if (openCode !== null && (code === undefined || !matchesDigest(code, digestOf(openCode).toString('hex')))) return false;
    this.unstored.set(room, digestOf(key).toString('hex'));
    if (openCode === null) return true;
    triesToStore(() => this.keep(room));
    return true;
  }

  /** The room is about to have a VM, and outlives a restart from now on. False if there are too many such rooms; throws StoreRefusal. */
  keep(room: RoomName): boolean {
    const keyDigest = this.unstored.get(room);
    if (keyDigest === undefined) return true;
    if (this.store.rooms.size >= this.maxStored) return false;
    this.store.putRoom(room, { keyDigest, usedAt: this.wallMs() });
    this.unstored.delete(room);
    return true;
  }

  /** Everybody has left. If that cannot be stored yet, expire() does it. */
  closed(room: RoomName): void {
    this.unstored.delete(room);
    if (!this.store.rooms.has(room)) return;
    this.unnoted.set(room, this.wallMs());
    triesToStore(() => this.note());
  }

  /** Forgets some of the rooms that nobody has used for KEEP_UNUSED_ROOM_MS; what cannot be stored yet, next time. */
  expire(isOpen: (room: RoomName) => boolean): void {
    triesToStore(() => {
      this.note();
      this.removeUnused(isOpen);
    });
  }

  private removeUnused(isOpen: (room: RoomName) => boolean): void {
    let removed = 0;
    for (const [room, { usedAt }] of this.store.rooms) {
      if (removed === EXPIRED_AT_A_TIME) return;
      if (room === DEFAULT_ROOM || isOpen(room) || this.wallMs() - (usedAt ?? this.openedAt) < KEEP_UNUSED_ROOM_MS) continue;
      this.store.removeRoom(room);
      removed += 1;
    }
  }

  private note(): void {
    for (const [room, usedAt] of this.unnoted) {
      const record = this.store.rooms.get(room);
      if (record !== undefined) this.store.putRoom(room, { ...record, usedAt });
      this.unnoted.delete(room);
    }
  }
}

const UNKNOWN_DIGEST = '0'.repeat(64);
