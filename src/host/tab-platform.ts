/** What a tab needs of the runtime it is in: time, the ways to its server, the direct ways to other tabs. */
import { LocalPresence } from '../link/local-presence.ts';
import { PeerConnections } from '../link/peer-connections.ts';
import { PeerSignalling } from '../link/peer-signalling.ts';
import { openBrowserSocket, type OpenSocket } from '../net-relay/client/open-socket.ts';
import type { Clock } from '../shared/clock.ts';
import type { HostId } from '../shared/ids.ts';
import { systemClock } from '../shared/system-clock.ts';

/** Memory of a device on which a machine may stand ready: it takes about 0.1 of them. */
const STANDBY_GIB = 4;

export interface TabPlatform {
  /** The runtime, as it calls itself. */
  readonly name: string;
  readonly clock: Clock;
  /** The computer's own clock, in milliseconds since 1970. */
  readonly wallMs: () => number;
  /** The device has memory for a machine that only stands ready. */
  readonly hasRoomForStandby: boolean;
  readonly openSocket: OpenSocket;
  readonly fetch: typeof fetch;
  readonly openDirectWays: (room: string, self: HostId, hostToken: string, base: URL) => DirectWays;
}

/** Ways to other tabs that do not lead through the server; null where there is none of the kind. */
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
    // Not all browsers tell, and none does on a page that is not secure.
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
