import { createHash } from 'node:crypto';

/** The code that opens new rooms: the one that was given, or one that stays the same as long as the default room's key does. */
export function openCodeFor({ isPublic, openCode }: { readonly isPublic: boolean; readonly openCode: string | null }, defaultRoomKey: string): string | null {
  if (openCode !== null || !isPublic) return openCode;
  return createHash('sha256').update(`opens rooms ${defaultRoomKey}`).digest('base64url').slice(0, 12);
}

export interface Exposure {
  /** Null: anybody opens rooms. */
  readonly openCode: string | null;
  readonly outbound: readonly string[] | null;
  readonly outboundRooms: readonly string[] | 'all';
  readonly forwards: number;
  readonly tap: string | null;
  readonly operatorKey: string | null;
}

/** Lines for the operator of a server on the open network: what is open, and to whom. */
export function publicNotice({ openCode, outbound, outboundRooms, forwards, tap, operatorKey }: Exposure): string[] {
  const rooms = outboundRooms === 'all' ? 'every room' : `the rooms ${outboundRooms.join(', ')}`;
  return [
    'Open on this server:',
    "  to everybody: the page, the guest's files, the signalling server, STUN",
    openCode === null
      ? '  to everybody: rooms of their own (--open-code asks for a code)'
      : `  with the code ${openCode}: new rooms, at an address such as /?room=NAME#open=${openCode}`,
    "  with a room's key: that room, and the ports of its PCs on this machine's loopback",
    outbound === null ? '  to guests: nothing outside' : `  to guests of ${rooms}: ${outbound.length === 0 ? 'the Internet' : outbound.join(', ')}`,
    ...(forwards === 0 ? [] : [`  on this machine: ${forwards} ports that --forward leads to PCs`]),
    ...(tap === null ? [] : [`  to PCs of the default room: this machine, by ${tap}`]),
    `  /metrics: this machine${operatorKey === null ? ' alone' : ", and who has the operator's key"}`,
  ];
}
