/** Which host a tab was before it was reloaded: kept where a reload leaves it, and a copy of the tab gets it, too. */
import type { FormerHost } from '../net-relay/protocol/relay-protocol.ts';
import type { HostId } from '../shared/ids.ts';
import type { KeyStorage } from './room-key.ts';

export interface FormerSelf {
  readonly hostId: HostId;
  /** Null if nobody knows whether that page has gone: it may be the one that this tab is a copy of. */
  readonly hostToken: string | null;
}

const MEMORY = (room: string): string => `tabmotion-host-${room}`;
/** The id, and the token behind it once the page has gone. */
const REMEMBERED = /^([A-Za-z0-9_-]{1,64})(?: ([A-Za-z0-9_-]{16,64}))?$/;

/** What this tab was in the room, or null; from now on it is `self`. */
export function takeFormerSelf(room: string, self: HostId, memory: KeyStorage | null): FormerSelf | null {
  const [, hostId, hostToken = null] = REMEMBERED.exec(memory?.getItem(MEMORY(room)) ?? '') ?? [];
  memory?.setItem(MEMORY(room), self);
  return hostId === undefined ? null : { hostId: hostId as HostId, hostToken };
}

/** The page goes. */
export function leaveFormerSelf(room: string, { hostId, hostToken }: FormerHost, memory: KeyStorage | null): void {
  memory?.setItem(MEMORY(room), `${hostId} ${hostToken}`);
}
