import { RELAY_PROTOCOL_VERSION } from '../protocol/relay-protocol.ts';
import type { ServerLimits } from '../limits/server-limits.ts';

/** Why a socket is not admitted, in a sentence for people. */
export const REFUSALS = {
  version: `This page speaks another version of the relay's protocol than the server (${RELAY_PROTOCOL_VERSION}). Reload it.`,
  key: 'This room is open to invited people only. Open it with its whole invitation link, or choose another room.',
  'host-id-taken': 'Another tab uses this host id. Reload the page to get an id of its own.',
  origin: 'This page was not loaded from this server. Open the address that the server printed.',
  'room-full': 'This room is full. Close a tab of it, or use another room.',
  'address-full': 'Your network has as many connections to this server, or rooms on it, as one network gets. Close tabs of it, or try again later.',
  'too-many-tries': 'Too many wrong keys came from your network. Wait a moment.',
  'open-code':
    'To open a new room on this server you need the code that its operator gives out: open the address that he gave you, or an invitation to a room that exists.',
  replaced: 'This host joined the room again from elsewhere (is the tab a duplicate?). Reload to take its place back.',
  removed: "The room's owner has removed this tab from the room, and the room's key is another one now.",
  'room-closed': "The room's owner has closed the room. Its PCs have ended.",
  'relay-full': 'The server has as many rooms or connections as it can take. Try again later.',
} as const;

/** Why a host of this address gets no further VM besides these, as a sentence; null if it gets one. */
export function vmRefusal(
  vms: readonly { readonly maker: string | null }[],
  address: string | null,
  limits: Pick<ServerLimits, 'vms' | 'vmsPerAddress'>,
): string | null {
  if (vms.length >= limits.vms) return 'The server has as many PCs as it can take. Try again later.';
  if (address === null || vms.filter(({ maker }) => maker === address).length < limits.vmsPerAddress) return null;
  return 'Your network has as many PCs on this server as one network gets. End one first.';
}
