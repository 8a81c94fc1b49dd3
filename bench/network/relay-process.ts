/** A relay with its rooms' gateways in its own process, which reports to its parent what it holds. Run with --expose-gc. */
import { RelayHarness } from '../../src/net-relay/testing/relay-harness.ts';
import { RoomGateways } from '../../src/net-relay/gateway/room-gateway.ts';
import { systemClock } from '../../src/shared/system-clock.ts';

export interface RelayReady {
  readonly url: string;
  readonly key: string;
}

export interface RelayMemory {
  readonly rssBytes: number;
  /** JavaScript heap in use and the buffers that belong to it. */
  readonly heapBytes: number;
  readonly sockets: number;
}

const gateways = new RoomGateways({ clock: systemClock, forwardAddress: '127.0.0.1' });
const harness = await RelayHarness.start({ openGateway: gateways.open });
process.on('message', () => {
  // Finalizers may free more objects: the second collection sees those.
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  process.send?.({ rssBytes: rss, heapBytes: heapUsed + external, sockets: harness.relay.stats().sockets } satisfies RelayMemory);
});
process.on('disconnect', () => process.exit());
process.send?.({ url: harness.url, key: harness.relay.defaultRoomKey } satisfies RelayReady);
