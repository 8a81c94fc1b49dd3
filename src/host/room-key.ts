/**
 * The room's key: in the address' fragment when somebody was invited, remembered by this browser when it was here
 * before, made anew by the tab that opens a room first. The default room's key is made by the server.
 */
import { randomToken } from './random.ts';

const ROOM_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/;
const KEY = /^[A-Za-z0-9_-]{16,64}$/;
const DEFAULT_ROOM = 'default';

export interface KeyStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
}

export type RoomAccess =
  | { readonly ok: true; readonly room: string; readonly key: string; readonly made: boolean }
  | { readonly ok: false; readonly room: string; readonly reason: string };

const remembered = (room: string): string => `tabmotion-key-${room}`;

/** Reads room and key from the address. Storage may be null (some browsers refuse it to private windows). */
export function readRoomAccess(address: URL, storage: KeyStorage | null): RoomAccess {
  const room = address.searchParams.get('room') ?? DEFAULT_ROOM;
  if (!ROOM_NAME.test(room)) {
    return { ok: false, room, reason: 'A room name has up to 40 letters, digits, hyphens and underscores and starts with a letter or digit.' };
  }
  const given = address.hash.slice(1);
  if (given !== '') {
    if (KEY.test(given)) return { ok: true, room, key: given, made: false };
    return { ok: false, room, reason: 'The key in this address is not complete. Copy the whole invitation again.' };
  }
  const known = storage?.getItem(remembered(room)) ?? null;
  if (known !== null && KEY.test(known)) return { ok: true, room, key: known, made: false };
  if (room === DEFAULT_ROOM) {
    return { ok: false, room, reason: 'This room is open to invited people only. Use the whole address that the server printed when it started, or choose a room of your own: add ?room=NAME to the address.' };
  }
  return { ok: true, room, key: randomToken(), made: true };
}

/** Remembers a key that was accepted. */
export function rememberKey(room: string, key: string, storage: KeyStorage | null): void {
  storage?.setItem(remembered(room), key);
}

/** The whole address of the room, at the origin of `address`: who has it, is invited. */
export function invitation(address: URL, room: string, key: string): string {
  const link = new URL(address.pathname, address);
  if (room !== DEFAULT_ROOM) link.searchParams.set('room', room);
  link.hash = key;
  return link.href;
}
