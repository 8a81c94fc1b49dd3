/** What a tab needs from its runtime: time, connections to its server, direct connections to other tabs. */
import { LocalPresence } from '../link/local-presence.ts';
import { PeerConnections } from '../link/peer-connections.ts';
import { PeerSignalling } from '../link/peer-signalling.ts';
import { openBrowserSocket, type OpenSocket } from '../net-relay/client/open-socket.ts';
import type { Clock } from '../shared/clock.ts';
import type { HostId } from '../shared/ids.ts';
import { systemClock } from '../shared/system-clock.ts';

/** A device needs this much memory to keep a machine ready, which takes about 0.1 GiB. */
const STANDBY_GIB = 4;

export interface TabPlatform {
  /** The runtime, as it calls itself. */
  readonly name: string;
  readonly clock: Clock;
  /** The computer's own clock, in milliseconds since 1970. */
  readonly wallMs: () => number;
  /** The device has enough memory to keep a machine ready for the next VM. */
  readonly hasRoomForStandby: boolean;
  readonly openSocket: OpenSocket;
  readonly fetch: typeof fetch;
  readonly openDirectWays: (room: string, self: HostId, hostToken: string, base: URL) => DirectWays;
}

/** Connections to other tabs that do not go through the server; null where the runtime does not have that kind. */
interface DirectWays {
  readonly connections: PeerConnections | null;
  readonly presence: LocalPresence | null;
}

export const browserPlatform: TabPlatform = {
  get name() {
    return navigator.userAgent;
  },
  clock: systemClock,
  wallMs: () => Date.now(),
  get hasRoomForStandby() {
    // Not all browsers tell this, and none does on an insecure page.
    const { deviceMemory = STANDBY_GIB } = navigator as { readonly deviceMemory?: number };
    return deviceMemory >= STANDBY_GIB;
  },
  openSocket: openBrowserSocket,
  fetch: (...args) => fetch(...args),
  openDirectWays(room, self, hostToken, base) {
    const secure = base.protocol === 'https:';
    const port = base.port === '' ? (secure ? 443 : 80) : Number(base.port);
    const server = { host: base.hostname, port, path: new URL('peerjs', base).pathname, secure };
    return {
      connections:
        typeof RTCPeerConnection === 'function' ? new PeerConnections(self, new PeerSignalling(self, hostToken, server, systemClock), systemClock) : null,
      presence: typeof BroadcastChannel === 'function' ? new LocalPresence(room, self) : null,
    };
  },
};
