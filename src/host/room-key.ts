/**
 * The room's key: in the address' fragment when somebody was invited, remembered by this browser when it was here
 * before, made anew by the tab that opens a room first. The default room's key is made by the server.
 */
import { OPEN_CODE } from '../net-relay/relay-protocol.ts';
import { randomToken } from './random.ts';

const ROOM_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/;
const KEY = /^[A-Za-z0-9_-]{16,64}$/;
const DEFAULT_ROOM = 'default';

export interface KeyStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
}

export type RoomAccess =
  /** `openCode`: opens a new room on a server that asks for it. */
  | { readonly ok: true; readonly room: string; readonly key: string; readonly made: boolean; readonly openCode?: string }
  | { readonly ok: false; readonly room: string; readonly reason: string };

/** One for all rooms of the server. */
const REMEMBERED_CODE = 'tabmotion-open-code';

const remembered = (room: string): string => `tabmotion-key-${room}`;

/** Reads room and key from the address. Storage may be null (some browsers refuse it to private windows). */
export function readRoomAccess(address: URL, storage: KeyStorage | null): RoomAccess {
  const room = address.searchParams.get('room') ?? DEFAULT_ROOM;
  if (!ROOM_NAME.test(room)) {
    return { ok: false, room, reason: 'A room name has up to 40 letters, digits, hyphens and underscores and starts with a letter or digit.' };
  }
  // `#KEY`, `#open=CODE`, or both with `&` between them.
  const parts = /^#?([A-Za-z0-9_-]*)(?:(?:^|#|&)open=(.*))?$/.exec(address.hash);
  const given = parts === null ? address.hash.slice(1) : parts[1] ?? '';
  const code = parts?.[2];
  const openCode = code ?? storage?.getItem(REMEMBERED_CODE) ?? '';
  if (code !== undefined && !OPEN_CODE.test(code)) return { ok: false, room, reason: 'The code in this address is not complete. Copy the whole address again.' };
  const opener = OPEN_CODE.test(openCode) ? { openCode } : {};
  if (given !== '') {
    if (KEY.test(given)) return { ok: true, room, key: given, made: false, ...opener };
    return { ok: false, room, reason: 'The key in this address is not complete. Copy the whole invitation again.' };
  }
  const known = storage?.getItem(remembered(room)) ?? null;
  if (known !== null && KEY.test(known)) return { ok: true, room, key: known, made: false, ...opener };
  if (room === DEFAULT_ROOM) {
    return { ok: false, room, reason: 'This room is open to invited people only. Use the whole address that the server printed when it started, or choose a room of your own: add ?room=NAME to the address.' };
  }
  return { ok: true, room, key: randomToken(), made: true, ...opener };
}

/** Remembers a key that was accepted, and the code that stood beside it. */
export function rememberKey(room: string, key: string, storage: KeyStorage | null, openCode?: string): void {
  storage?.setItem(remembered(room), key);
  if (openCode !== undefined) storage?.setItem(REMEMBERED_CODE, openCode);
}

/** The whole address of the room, at the origin of `address`: who has it, is invited. */
export function invitation(address: URL, room: string, key: string): string {
  const link = new URL(address.pathname, address);
  if (room !== DEFAULT_ROOM) link.searchParams.set('room', room);
  link.hash = key;
  return link.href;
}
