/** Which host a tab was before it was reloaded. It is stored where it survives a reload; a copy of the tab gets it as well. */
import type { FormerHost } from '../net-relay/protocol/relay-protocol.ts';
import type { KeyStorage } from './room-key.ts';

const MEMORY = (room: string): string => `tabmotion-host-${room}`;
const REMEMBERED = /^([A-Za-z0-9_-]{1,64}) ([A-Za-z0-9_-]{16,64})( gone)?$/;

/** What this tab was in the room, or null; from now on it is `self`. */
export function takeFormerSelf(room: string, self: Omit<FormerHost, 'gone'>, memory: KeyStorage | null): FormerHost | null {
  const [, hostId, hostToken, gone] = REMEMBERED.exec(memory?.getItem(MEMORY(room)) ?? '') ?? [];
  keep(room, { ...self, gone: false }, memory);
  return hostId === undefined || hostToken === undefined ? null : { hostId, hostToken, gone: gone !== undefined };
}

/** Notes that the page is going away; a page whose process crashed leaves no such note. */
export function leaveFormerSelf(room: string, self: Omit<FormerHost, 'gone'>, memory: KeyStorage | null): void {
  keep(room, { ...self, gone: true }, memory);
}

function keep(room: string, { hostId, hostToken, gone }: FormerHost, memory: KeyStorage | null): void {
  memory?.setItem(MEMORY(room), `${hostId} ${hostToken}${gone ? ' gone' : ''}`);
}
