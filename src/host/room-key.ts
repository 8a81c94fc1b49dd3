/**
 * The room's key. An invited person has it in the address' fragment; a browser that was in the room before remembers it;
 * the first tab that opens a room makes a new one. The server makes the default room's key.
 */
import { OPEN_CODE } from '../net-relay/protocol/relay-protocol.ts';
import { randomToken } from './random.ts';

const ROOM_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/;
const KEY = /^[A-Za-z0-9_-]{16,64}$/;
const DEFAULT_ROOM = 'default';

export interface KeyStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
}

export type RoomAccess =
  /** `openCode`: opens a new room on a server that asks for it. `ownerSecret`: as the address gave it. */
  | { readonly ok: true; readonly room: string; readonly key: string; readonly made: boolean; readonly openCode?: string; readonly ownerSecret?: string }
  | { readonly ok: false; readonly room: string; readonly reason: string };

/** One for all rooms of the server. */
const REMEMBERED_CODE = 'tabmotion-open-code';

const remembered = (room: string): string => `tabmotion-key-${room}`;
const rememberedOwner = (room: string): string => `tabmotion-owner-${room}`;

/** Reads room and key from the address. Storage may be null (some browsers refuse it to private windows). */
export function readRoomAccess(address: URL, storage: KeyStorage | null): RoomAccess {
  const room = address.searchParams.get('room') ?? DEFAULT_ROOM;
  if (!ROOM_NAME.test(room)) {
    return { ok: false, room, reason: 'A room name has up to 40 letters, digits, hyphens and underscores and starts with a letter or digit.' };
  }
  const { key: given, open: code, owner: ownerSecret } = readFragment(address.hash);
  const openCode = code ?? storage?.getItem(REMEMBERED_CODE) ?? '';
  if (code !== undefined && !OPEN_CODE.test(code))
    return { ok: false, room, reason: 'The code in this address is not complete. Copy the whole address again.' };
  if (ownerSecret !== undefined && !KEY.test(ownerSecret))
    return { ok: false, room, reason: "The owner's secret in this address is not complete. Copy the whole address again." };
  const opener = { ...(OPEN_CODE.test(openCode) ? { openCode } : {}), ...(ownerSecret === undefined ? {} : { ownerSecret }) };
  if (given !== '') {
    if (KEY.test(given)) return { ok: true, room, key: given, made: false, ...opener };
    return { ok: false, room, reason: 'The key in this address is not complete. Copy the whole invitation again.' };
  }
  const known = storage?.getItem(remembered(room)) ?? null;
  if (known !== null && KEY.test(known)) return { ok: true, room, key: known, made: false, ...opener };
  if (room === DEFAULT_ROOM) {
    return {
      ok: false,
      room,
      reason:
        'This room is open to invited people only. Use the whole address that the server printed when it started, or choose a room of your own: add ?room=NAME to the address.',
    };
  }
  return { ok: true, room, key: randomToken(), made: true, ...opener };
}

/** `#KEY`, `#open=CODE`, `#owner=SECRET`, or several with `&` between them; the key comes first. */
function readFragment(hash: string): { readonly key: string; readonly open?: string; readonly owner?: string } {
  const [first = '', ...others] = hash.replace(/^#/, '').split('&');
  const named = /^(open|owner)=/;
  const values = Object.fromEntries((named.test(first) ? [first, ...others] : others).map((part) => part.split('=') as [string, string | undefined]));
  const unknown = Object.keys(values).some((name) => name !== 'open' && name !== 'owner');
  // If a part is not understood, the whole fragment counts as a broken key.
  if (unknown) return { key: hash.slice(1) };
  return { key: named.test(first) ? '' : first, ...values };
}

/** Remembers a key that was accepted, and the code that stood beside it. */
export function rememberKey(room: string, key: string, storage: KeyStorage | null, openCode?: string): void {
  storage?.setItem(remembered(room), key);
  if (openCode !== undefined) storage?.setItem(REMEMBERED_CODE, openCode);
}

/** The owner's secret that this browser has for the room; if it has none, a new one for a room that is about to open. */
export function ownerSecretFor(room: string, storage: KeyStorage | null): string {
  const known = storage?.getItem(rememberedOwner(room)) ?? '';
  return KEY.test(known) ? known : randomToken();
}

/** Remembers the secret of a room's owner that was accepted. */
export function rememberOwner(room: string, secret: string, storage: KeyStorage | null): void {
  storage?.setItem(rememberedOwner(room), secret);
}

/** Anybody who opens this address is the room's owner. */
export function ownersAddress(link: string, secret: string): string {
  return `${link}&owner=${secret}`;
}

/** The whole address of the room, at the origin of `address`: anybody who has it is invited. */
export function invitation(address: URL, room: string, key: string): string {
  const link = new URL(address.pathname, address);
  if (room !== DEFAULT_ROOM) link.searchParams.set('room', room);
  link.hash = key;
  return link.href;
}
