/**
 * The limit that the emulated card sets, in this Node process, without browser, relay or WebSocket: frames handed straight
 * to v86's card as fast as the guest's driver takes them, frames the guest's kernel sends as fast as it can, and the
 * gateway's TCP directly at the card.
 */
import { performance } from 'node:perf_hooks';
import { GUEST_LIMIT_MS, restoredGuest, type RestoredGuest } from '../../guest/testing/restored-guest.ts';
import type { NetworkCard } from '../../src/emulator-bridge/machine.ts';
import { InboundQueue, type PortClientDrop } from '../../src/net-relay/client/inbound-queue.ts';
import { Counters } from '../../src/shared/counters.ts';
import { createGateway, type Gateway } from '../../src/net-relay/gateway/gateway.ts';
import { GATEWAY_IP, GATEWAY_MAC, LAN_NETMASK } from '../../src/net-relay/lan/lan.ts';
import { systemClock } from '../../src/shared/system-clock.ts';
import { disposable } from '../../src/shared/disposable.ts';
import type { MacAddress } from '../../src/shared/ids.ts';
import { median } from '../statistics.ts';
import { serveCommand, SINK_PORT, SOURCE_PORT, transferRates, type TransferRates } from './transfer.ts';
import { udpFrame } from './udp-frame.ts';

const MAC = '02:5a:00:00:00:2b' as MacAddress;
const IP = '10.86.0.2';
/** Frames are addressed to somebody else, so that the guest's kernel drops them at its lowest layer. */
const SOMEBODY_ELSE = { mac: '02:5a:00:00:00:99', ip: '10.86.0.153', port: 5001 };
/** Largest ping that busybox sends in a few frames: the kernel cuts it into frames of 1514 bytes as fast as they leave. */
const PING = { bytes: 60_000, count: 100, interval: 0.001 };
const FLOOD_MS = 2000;
const FRAME_BYTES = 1514;
const ETHERTYPE_ARP = 0x0806;
const MEGA = 1_000_000;

export interface CardLimits {
  /** Frames alone: the card and its driver, nothing above. */
  readonly frames: TransferRates;
  /** Median size of the frames that the guest sent. */
  readonly guestFrameBytes: number;
  /** Bulk data over TCP, the gateway directly at the card. */
  readonly tcp: TransferRates;
}

export async function cardLimits(mebibytes: number, runs: number): Promise<CardLimits> {
  const guest = await restoredGuest();
  const { network } = guest.machine;
  network.setMac(MAC);
  const queue = new InboundQueue(network, new Counters<PortClientDrop>());
  const gateway: Gateway = createGateway({
    mac: GATEWAY_MAC,
    ip: GATEWAY_IP,
    netmask: LAN_NETMASK,
    clock: systemClock,
    leases: { all: () => [{ vmId: 'vm', name: 'pc', mac: MAC, ip: IP }], onChange: () => disposable(() => undefined) },
    send: (frame) => {
      queue.push(frame);
      queue.pump();
    },
  });
  /** While frames are counted, the gateway answers only the guest's ARP requests. */
  let counted: { bytes: number; sizes: number[]; first: number; last: number } | null = null;
  const listening = network.onFrame((frame) => {
    if (counted === null || (((frame[12] ?? 0) << 8) | (frame[13] ?? 0)) === ETHERTYPE_ARP) {
      gateway.receive(frame.slice());
      return;
    }
    const now = performance.now();
    if (counted.bytes === 0) counted.first = now;
    counted.bytes += frame.length;
    counted.sizes.push(frame.length);
    counted.last = now;
  });
  try {
    await guest.begin();
    await guest.agent.ask(
      `identity mac=${MAC} hostname=pc ip=${IP}/24 gateway=${GATEWAY_IP} dns=${GATEWAY_IP} time=${Date.now()} seed=${'cd'.repeat(64)} password=x`,
      'ok identity',
      GUEST_LIMIT_MS,
    );
    await guest.agent.printed('event services', GUEST_LIMIT_MS);
    await guest.shell(serveCommand(mebibytes));

    const toGuest: number[] = [];
    const fromGuest: number[] = [];
    let sizes: number[] = [];
    for (let run = -1; run < runs; run++) {
      const seenBefore = await receivedFrames(guest);
      const { frames, ms } = await flood(network, FLOOD_MS);
      const seen = (await receivedFrames(guest)) - seenBefore;
      // Otherwise the figure would mean nothing.
      if (seen < frames) throw new Error(`Of ${frames} frames that the card took, the guest's kernel saw ${seen}.`);
      counted = { bytes: 0, sizes: [], first: 0, last: 0 };
      await guest.shell(`ping -q -s ${PING.bytes} -i ${PING.interval} -c ${PING.count} -W 1 ${GATEWAY_IP}`);
      const { bytes, first, last } = counted;
      if (bytes < PING.bytes * PING.count) throw new Error(`Of ${PING.count} pings of ${PING.bytes} bytes, the card sent ${bytes} bytes.`);
      if (run >= 0) {
        toGuest.push((frames * FRAME_BYTES) / MEGA / (ms / 1000));
        fromGuest.push(bytes / MEGA / ((last - first) / 1000));
        sizes = sizes.concat(median(counted.sizes));
      }
      counted = null;
    }
    const [sink, source] = [
      await gateway.addForward({ vmId: 'vm', hostPort: 0, guestPort: SINK_PORT }),
      await gateway.addForward({ vmId: 'vm', hostPort: 0, guestPort: SOURCE_PORT }),
    ];
    const tcp = await transferRates({ sink: sink.hostPort, source: source.hostPort }, mebibytes, runs);
    return { frames: { toGuest, fromGuest }, guestFrameBytes: sizes[0] ?? 0, tcp };
  } finally {
    listening.dispose();
    await gateway.dispose();
    queue.dispose();
    guest.dispose();
  }
}

/** For `ms` milliseconds, gives the card frames whenever it has room; returns how many it took. */
async function flood(network: NetworkCard, ms: number): Promise<{ frames: number; ms: number }> {
  const frame = udpFrame({ from: { mac: GATEWAY_MAC, ip: GATEWAY_IP, port: SOMEBODY_ELSE.port }, to: SOMEBODY_ELSE, bytes: FRAME_BYTES });
  let frames = 0;
  const begun = performance.now();
  const pump = (): void => {
    while (performance.now() - begun < ms && network.deliver(frame)) frames++;
  };
  const ready = network.onReady(pump);
  pump();
  await new Promise((resolve) => setTimeout(resolve, ms));
  ready.dispose();
  return { frames, ms: performance.now() - begun };
}

/** What the guest's kernel counts at its card. */
async function receivedFrames(guest: RestoredGuest): Promise<number> {
  return Number(await guest.shell('cat /sys/class/net/eth0/statistics/rx_packets'));
}
