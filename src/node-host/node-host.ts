/**
 * A host without a page, in Node: a tab of a room like any other, which runs its VMs in Node workers. It reaches the
 * other hosts through the relay.
 */
import { openTab, type OpenTab } from '../host/tab.ts';
import type { TabPlatform } from '../host/tab-platform.ts';
import { openNodeSocket } from '../net-relay/node-client/node-socket.ts';
import { systemClock } from '../shared/system-clock.ts';
import { spawnVmWorker } from './node-worker.ts';

const platform: TabPlatform = {
  name: `Node ${process.version}, ${process.platform}`,
  clock: systemClock,
  wallMs: () => Date.now(),
  hasRoomForStandby: true,
  openSocket: openNodeSocket,
  fetch: (...args) => fetch(...args),
  openDirectWays: () => ({ connections: null, presence: null }),
};

/** Joins the room of an invitation. The host starts no VM by itself; dispose of it to leave. */
export function openNodeHost(invitation: URL, name: string): OpenTab {
  const address = new URL(invitation);
  address.searchParams.set('name', name);
  address.searchParams.set('autostart', '0');
  return openTab({
    platform,
    address,
    base: new URL('.', address),
    storage: null,
    tabMemory: null,
    spawnVmWorker,
    // Nobody looks at an address here.
    showAddress: () => undefined,
  });
}
