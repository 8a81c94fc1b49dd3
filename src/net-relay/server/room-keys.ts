/**
 * The keys of the rooms, and who owns them. The server makes the default room's key; for any other room, the host that
 * opens it first sets the key, and the secret of its owner. The key of a room that has had a VM outlives the room and a
 * restart. Only digests are kept, except of what the server must print again. A key that the owner changed is
 * remembered until the relay ends, so that hosts in the room can be told.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { RoomName } from '../../shared/ids.ts';
import { DEFAULT_ROOM } from '../protocol/relay-protocol.ts';
import { MAX_FORMER_KEYS, type RelayStore, type StoredRoom } from '../store/relay-store.ts';
import { triesToStore } from '../store/key-value-store.ts';
import { KEEP_UNUSED_ROOM_MS } from '../limits/server-limits.ts';

/** Each is a write to the disk. */
const EXPIRED_AT_A_TIME = 20;

export type KeyCheck = 'accepted' | 'refused' | 'unknown-room';

/** What is known of a room besides its VMs. */
type Secrets = Omit<StoredRoom, 'usedAt'>;

export interface Claim {
  /** The code that opens a new room, on a server that asks for one. */
  readonly openCode?: string | undefined;
  /** Its owner's. */
  readonly ownerSecret?: string | undefined;
}

function digestOf(secret: string): Buffer {
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
  private readonly makeKey: () => string;
  private readonly maxStored: number;
  private readonly wallMs: () => number;
  private readonly openedAt: number;
  /** The secrets of open rooms that have had no VM yet. */
  private readonly unstored = new Map<RoomName, Secrets>();
  /** When rooms were last used, where the store has not taken it yet. */
  private readonly unnoted = new Map<RoomName, number>();
  /** Keys that owners changed since the relay began. */
  private readonly changed = new Map<RoomName, string>();
  private readonly openCodeOf: ((defaultKey: string) => string | null) | undefined;

  /** `makeKey` must give 128 bits or more in the letters of a room key; `maxStored`: rooms; `wallMs`: milliseconds since 1970; `openCode`: what opens a new room, null: anything. */
  constructor(store: RelayStore, makeKey: () => string, maxStored: number, wallMs: () => number, openCode?: (defaultKey: string) => string | null) {
    this.store = store;
    this.makeKey = makeKey;
    this.maxStored = maxStored;
    this.wallMs = wallMs;
    this.openedAt = wallMs();
    this.openCodeOf = openCode;
    const known = store.rooms.get(DEFAULT_ROOM);
    if (known?.key !== undefined && known.ownerSecret !== undefined) return;
    // Older servers made no owner's secret.
    const secrets = { ...keyAndDigest(known?.key ?? makeKey()), ...ownerAndDigest(makeKey()) };
    store.putRoom(DEFAULT_ROOM, { usedAt: wallMs(), ...known, ...secrets });
  }

  get defaultKey(): string {
    return this.store.rooms.get(DEFAULT_ROOM)?.key ?? '';
  }

  /** Of the default room. */
  get defaultOwnerSecret(): string {
    return this.store.rooms.get(DEFAULT_ROOM)?.ownerSecret ?? '';
  }

  check(room: RoomName, key: string): KeyCheck {
    const digest = this.secretsOf(room)?.keyDigest;
    // An unknown room costs the same comparison, so that time does not tell which rooms exist.
    const matches = matchesDigest(key, digest ?? UNKNOWN_DIGEST);
    if (digest === undefined) return 'unknown-room';
    return matches ? 'accepted' : 'refused';
  }

  /** A key that the room had before its owner changed it. */
  isFormer(room: RoomName, key: string): boolean {
    return this.secretsOf(room)?.formerKeyDigests?.some((digest) => matchesDigest(key, digest)) ?? false;
  }

  /** False for a room that has no owner, too. */
  isOwners(room: RoomName, secret: string): boolean {
    return matchesDigest(secret, this.secretsOf(room)?.ownerDigest ?? UNKNOWN_DIGEST);
  }

  /** The key that the room has now, if its owner changed it since the relay began; otherwise null. */
  changedKey(room: RoomName): string | null {
    return this.changed.get(room) ?? null;
  }

  /**
   * The first host of a room sets its key. False if that takes a code and this is not the code. If a code is needed,
   * the room is stored at once, if possible: invited hosts can then come back after a restart without opening it again.
   */
  claim(room: RoomName, key: string, { openCode: code, ownerSecret }: Claim = {}): boolean {
    const openCode = this.openCodeOf?.(this.defaultKey) ?? null;
    if (openCode !== null && (code === undefined || !matchesDigest(code, hexDigestOf(openCode)))) return false;
    this.unstored.set(room, { keyDigest: hexDigestOf(key), ...(ownerSecret === undefined ? {} : { ownerDigest: hexDigestOf(ownerSecret) }) });
    if (openCode === null) return true;
    triesToStore(() => this.keep(room));
    return true;
  }

  /** Gives the room a new key; the old one no longer opens anything. Throws StoreRefusal: then nothing has changed. */
  change(room: RoomName): string {
    const key = this.makeKey();
    const stored = this.store.rooms.get(room);
    const unstored = this.unstored.get(room);
    if (stored !== undefined) this.store.putRoom(room, { ...stored, ...withKey(stored, key) });
    else if (unstored !== undefined) this.unstored.set(room, { ...unstored, ...withKey(unstored, key) });
    this.changed.set(room, key);
    return key;
  }

  /** Forgets the room and frees its name; the default room only gets another key, which is returned. Throws StoreRefusal: then nothing has changed. */
  forget(room: RoomName): string | null {
    if (room === DEFAULT_ROOM) return this.change(room);
    if (this.store.rooms.has(room)) this.store.removeRoom(room);
    for (const known of [this.unstored, this.unnoted, this.changed]) known.delete(room);
    return null;
  }

  /** The room is about to have a VM, and outlives a restart from now on. False if there are too many such rooms; throws StoreRefusal. */
  keep(room: RoomName): boolean {
    const secrets = this.unstored.get(room);
    if (secrets === undefined) return true;
    if (this.store.rooms.size >= this.maxStored) return false;
    this.store.putRoom(room, { ...secrets, usedAt: this.wallMs() });
    this.unstored.delete(room);
    return true;
  }

  /** Everybody has left. If that cannot be stored yet, expire() does it. */
  closed(room: RoomName): void {
    this.unstored.delete(room);
    this.changed.delete(room);
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

  private secretsOf(room: RoomName): Secrets | undefined {
    return this.store.rooms.get(room) ?? this.unstored.get(room);
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

/** As tokens and secrets are stored and compared. */
export const hexDigestOf = (secret: string): string => digestOf(secret).toString('hex');
const keyAndDigest = (key: string): Pick<StoredRoom, 'key' | 'keyDigest'> => ({ key, keyDigest: hexDigestOf(key) });
/** The key itself is kept only if the previous key was. */
const withKey = (before: Secrets, key: string): Partial<StoredRoom> => ({
  ...(before.key === undefined ? { keyDigest: hexDigestOf(key) } : keyAndDigest(key)),
  formerKeyDigests: [before.keyDigest, ...(before.formerKeyDigests ?? [])].slice(0, MAX_FORMER_KEYS),
});
const ownerAndDigest = (ownerSecret: string): Pick<StoredRoom, 'ownerSecret' | 'ownerDigest'> => ({ ownerSecret, ownerDigest: hexDigestOf(ownerSecret) });
