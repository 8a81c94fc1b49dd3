import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import { BROADCAST_IP, BROADCAST_MAC } from './address.ts';
import { serializeArp } from './arp.ts';
import { serializeDhcp } from './dhcp-message.ts';
import { serializeDnsQuery } from './dns-message.ts';
import { EtherType, serializeEthernet } from './ethernet.ts';
import { serializeIcmp } from './icmp.ts';
import { IpProtocol, serializeIpv4 } from './ipv4.ts';
import { serializeTcp } from './tcp/segment.ts';
import { GATEWAY_ADDRESS, GATEWAY_MAC_NUMBER, gatewayWorld, OUTSIDE, type GatewayWorld } from './testing/gateway-world.ts';
import { noise, TestApplication } from './testing/tcp-host.ts';
import { serializeUdp } from './udp.ts';

/** B7 asks for 100,000. */
const FRAMES = 120_000;

/** A frame as a hostile guest makes it: well-formed in parts, so that it gets far, and wrong somewhere. */
function hostileFrame(random: SeededRandom, { one }: GatewayWorld): Uint8Array {
  const destination = random.chance(0.1) ? OUTSIDE : random.chance(0.1) ? BROADCAST_IP : GATEWAY_ADDRESS;
  const source = random.chance(0.05) ? 0 : random.chance(0.05) ? random.below(0x1_0000_0000) : one.ip;
  const port = random.pick([22, 53, 67, 80, 5000, random.below(65_536)]);
  const ports = { sourcePort: random.pick([68, 80, 5000, random.below(65_536)]), destinationPort: port };
  const body = noise(random.below(0x1_0000_0000), random.chance(0.8) ? random.below(40) : random.below(1400));
  const live = [...one.tcp.connections()][0];
  const ip = (protocol: number, payload: Uint8Array): Uint8Array =>
    serializeIpv4({ source, destination, protocol, id: random.below(4), flagsAndOffset: random.chance(0.85) ? 0 : random.below(0x4000) }, payload);
  const make: (() => [number, Uint8Array])[] = [
    () => [
      EtherType.arp,
      serializeArp({ operation: random.pick(['request', 'reply']), senderMac: one.mac, senderIp: source, targetMac: 0, targetIp: destination }),
    ],
    () => [
      EtherType.ipv4,
      ip(IpProtocol.icmp, serializeIcmp({ type: random.below(20), code: random.below(4), rest: random.below(0x1_0000_0000), payload: body })),
    ],
    () => [EtherType.ipv4, ip(IpProtocol.udp, serializeUdp({ ...ports, payload: body }, source, destination))],
    () => [
      EtherType.ipv4,
      ip(
        IpProtocol.udp,
        serializeUdp(
          { ...ports, destinationPort: 53, payload: serializeDnsQuery(1, random.pick(['two', 'a.b', 'x'.repeat(60)]), random.below(40)) },
          source,
          destination,
        ),
      ),
    ],
    () => {
      const options = new Map([
        [53, random.bytes(1)],
        [random.below(255), random.bytes(random.below(20))],
      ]);
      const payload = serializeDhcp({ op: 1, transaction: 1, flags: random.below(65_536), clientIp: source, yourIp: 0, relayIp: 0, mac: one.mac, options });
      return [EtherType.ipv4, ip(IpProtocol.udp, serializeUdp({ sourcePort: 68, destinationPort: 67, payload }, source, destination))];
    },
    () => {
      const toLive = live !== undefined && random.chance(0.7);
      const segment = {
        sourcePort: toLive ? live.endpoints.localPort : ports.sourcePort,
        destinationPort: toLive ? live.endpoints.remotePort : port,
        // Mostly near the window, where the decisions are made.
        seq: toLive ? (live.received + random.below(4000) - 2000) >>> 0 : random.below(0x1_0000_0000),
        ack: toLive ? (live.received + random.below(4000) - 2000) >>> 0 : random.below(0x1_0000_0000),
        flags: random.below(32),
        window: random.below(65_536),
        options: random.chance(0.5)
          ? {}
          : { mss: random.below(65_536), windowShift: random.below(30), timestamp: { value: random.below(0x1_0000_0000), echo: random.below(0x1_0000_0000) } },
        payload: body.subarray(0, 1000),
      };
      return [EtherType.ipv4, ip(IpProtocol.tcp, serializeTcp(segment, source, destination))];
    },
    () => [random.below(65_536), body],
  ];
  const [etherType, payload] = random.pick(make)();
  const frame = serializeEthernet({
    destination: random.chance(0.1) ? BROADCAST_MAC : GATEWAY_MAC_NUMBER,
    source: random.chance(0.98) ? one.mac : random.below(2 ** 48),
    etherType,
    payload,
  });
  if (random.chance(0.5)) for (let flips = random.below(4); flips >= 0; flips--) frame[random.below(frame.length)] = random.below(256);
  if (random.chance(0.2)) return frame.subarray(0, random.below(frame.length));
  return frame;
}

describe('hostile frames', () => {
  it('a hundred thousand of them raise no exception, and nothing grows; then the gateway still works (GW70)', async () => {
    const world = gatewayWorld({ outbound: ['udp:*'] });
    const random = new SeededRandom(20_260_101);
    world.one.services.set(80, () => new TestApplication(new Uint8Array(0), false));
    const { hostPort } = await world.gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 80 });
    const sizes: number[] = [];
    for (let count = 1; count <= FRAMES; count++) {
      world.gateway.receive(hostileFrame(random, world));
      if (count % 500 !== 0) continue;
      if (world.gateway.stats()['tcp-open'] === 0) world.network.dial(hostPort);
      await world.pass(300);
      for (const list of [
        world.one.frames,
        world.one.packets,
        world.one.datagrams,
        world.one.icmp,
        world.one.arps,
        world.two.frames,
        world.two.packets,
        world.two.datagrams,
      ])
        list.length = 0;
      if (count % 20_000 === 0) sizes.push(world.gateway.stats()['tcp-buffer-bytes'] ?? 0);
    }
    const stats = world.gateway.stats();
    expect(stats['internal-errors'] ?? 0, world.log.join('\n')).toBe(0);
    expect(Math.max(...sizes)).toBeLessThan(4 * 1024 * 1024);
    expect(stats['tcp-open']).toBeLessThan(50);
    expect(world.network.udp.filter((flow) => !flow.closed).length).toBeLessThanOrEqual(256);
    for (const name of [
      'ethernet-truncated',
      'ipv4-malformed',
      'ipv4-bad-checksum',
      'tcp-bad-checksum',
      'udp-bad-checksum',
      'icmp-bad-checksum',
      'dhcp-malformed',
      'dns-malformed',
      'fragments-malformed',
      'spoofed-ip',
      'unknown-sender',
      'arp-malformed',
      'tcp-refused',
    ] as const) {
      expect(stats[name], name).toBeGreaterThan(0);
    }
    await world.pass(600_000);
    expect(world.gateway.stats()).toMatchObject({ 'tcp-buffer-bytes': 0 });
    world.one.icmp.length = 0;
    world.one.ping(GATEWAY_ADDRESS, 1);
    await world.pass(0);
    expect(world.one.icmp).toHaveLength(1);
  });
});
