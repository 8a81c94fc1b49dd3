import { describe, expect, it } from 'vitest';
import { BROADCAST_MAC } from './address.ts';
import { serializeEthernet } from './ethernet.ts';
import { IcmpType } from './icmp.ts';
import { FrameGuest } from './testing/frame-guest.ts';
import { GATEWAY_ADDRESS, GATEWAY_MAC_NUMBER, gatewayWorld } from './testing/gateway-world.ts';

const ask = (targetIp: number, senderMac: number, senderIp: number) => ({ operation: 'request', senderMac, senderIp, targetMac: 0, targetIp }) as const;

describe("the gateway's network card", () => {
  it('answers ARP for its own address, to a guest that asks from its leased one or probes from none (GW1)', async () => {
    const { one, two, pass } = gatewayWorld();
    one.sendArp(ask(GATEWAY_ADDRESS, one.mac, one.ip));
    one.sendArp(ask(GATEWAY_ADDRESS, one.mac, 0));
    await pass(0);
    expect(one.arps.map((arp) => [arp.operation, arp.senderIp, arp.senderMac])).toEqual([
      ['reply', GATEWAY_ADDRESS, GATEWAY_MAC_NUMBER],
      ['reply', GATEWAY_ADDRESS, GATEWAY_MAC_NUMBER],
    ]);
    expect(one.frames[0]?.destination).toBe(one.mac);
    expect(two.frames).toEqual([]);
  });

  it('does not answer ARP for anybody else, nor asks any itself (GW1)', async () => {
    const { gateway, one, two, pass } = gatewayWorld();
    one.sendArp(ask(two.ip, one.mac, one.ip));
    one.ping(GATEWAY_ADDRESS, 1);
    const ping = gateway.startPing('two', 100, () => undefined);
    await pass(1000);
    ping.dispose();
    expect([...one.arps, ...two.arps]).toEqual([]);
    expect(two.icmp.length).toBeGreaterThan(5);
  });

  it('learns nothing from a guest that answers for another, or for the gateway (GW2)', async () => {
    const { gateway, one, two, pass } = gatewayWorld();
    one.sendArp({ operation: 'reply', senderMac: one.mac, senderIp: two.ip, targetMac: GATEWAY_MAC_NUMBER, targetIp: GATEWAY_ADDRESS });
    one.sendArp(ask(two.ip, one.mac, two.ip));
    one.sendArp(ask(GATEWAY_ADDRESS, one.mac, GATEWAY_ADDRESS));
    one.sendArp(ask(GATEWAY_ADDRESS, two.mac, one.ip));
    const ping = gateway.startPing('two', 100, () => undefined);
    await pass(500);
    ping.dispose();
    expect(gateway.stats()).toMatchObject({ 'spoofed-ip': 3, 'spoofed-gateway': 1 });
    expect(one.frames).toEqual([]);
    expect(two.icmp.every((message) => message.type === IcmpType.echoRequest)).toBe(true);
  });

  it('drops packets whose source address is not the leased one, and frames from nobody it knows, and counts both (GW2)', async () => {
    const { gateway, one, two, pass, clock } = gatewayWorld();
    one.sendUdp(GATEWAY_ADDRESS, 1000, 53, new Uint8Array(20), two.ip);
    one.sendUdp(GATEWAY_ADDRESS, 1000, 53, new Uint8Array(20), GATEWAY_ADDRESS);
    const stranger = new FrameGuest({
      mac: 0x025a00000063,
      ip: GATEWAY_ADDRESS + 99,
      gatewayMac: GATEWAY_MAC_NUMBER,
      clock,
      send: (frame) => gateway.receive(frame),
    });
    stranger.ping(GATEWAY_ADDRESS, 1);
    stranger.sendArp(ask(GATEWAY_ADDRESS, stranger.mac, stranger.ip));
    const impostor = new FrameGuest({ mac: GATEWAY_MAC_NUMBER, ip: one.ip, gatewayMac: GATEWAY_MAC_NUMBER, clock, send: (frame) => gateway.receive(frame) });
    impostor.ping(GATEWAY_ADDRESS, 1);
    await pass(0);
    expect(gateway.stats()).toMatchObject({ 'spoofed-ip': 1, 'spoofed-gateway': 2, 'unknown-sender': 2 });
    expect([...one.frames, ...two.frames]).toEqual([]);
  });

  it('drops IPv6 and unknown frame types by name (GW3)', () => {
    const { gateway, one } = gatewayWorld();
    for (const etherType of [0x86dd, 0x88cc])
      one.send(serializeEthernet({ destination: BROADCAST_MAC, source: one.mac, etherType, payload: new Uint8Array(40) }));
    expect(gateway.stats()).toMatchObject({ 'ipv6-unsupported': 1, 'ethernet-unknown-type': 1 });
  });

  it('talks with machines of a real network only if told to, and never takes one for a guest (GW4)', async () => {
    for (const learnNeighbours of [false, true]) {
      const answered: Uint8Array[] = [];
      const world = gatewayWorld({ learnNeighbours, send: (frame) => void answered.push(frame) });
      const machine = new FrameGuest({
        mac: 0x001122334455,
        ip: GATEWAY_ADDRESS + 253,
        gatewayMac: GATEWAY_MAC_NUMBER,
        clock: world.clock,
        send: (frame) => world.gateway.receive(frame),
      });
      machine.ping(GATEWAY_ADDRESS, 1);
      const thief = new FrameGuest({
        mac: 0x001122334455,
        ip: world.one.ip,
        gatewayMac: GATEWAY_MAC_NUMBER,
        clock: world.clock,
        send: (frame) => world.gateway.receive(frame),
      });
      thief.ping(GATEWAY_ADDRESS, 1);
      await world.pass(0);
      expect(answered.length).toBe(learnNeighbours ? 1 : 0);
      expect(world.gateway.stats()[learnNeighbours ? 'spoofed-ip' : 'unknown-sender']).toBe(learnNeighbours ? 1 : 2);
    }
  });

  it('survives a station that answers within the same call, without recursion (GW5)', async () => {
    const { gateway, one, pass } = gatewayWorld();
    for (let sequence = 0; sequence < 50; sequence++) one.ping(GATEWAY_ADDRESS, sequence);
    await pass(0);
    expect(one.icmp.length).toBe(50);
    expect(gateway.stats()['internal-errors']).toBe(undefined);
  });

  it('forgets a VM whose lease ended: its frames are refused, its connections reset, its ports closed (GW6)', async () => {
    const { gateway, leases, network, one, two, pass } = gatewayWorld();
    await gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 80 });
    await gateway.addForward({ vmId: 'two', hostPort: 0, guestPort: 80 });
    const client = network.dial(40_000);
    leases.set([two.lease('two', 'Two')]);
    await pass(10);
    expect(client.closed).toBe(true);
    expect(gateway.forwards().map((forward) => forward.vmId)).toEqual(['two']);
    const before = gateway.stats()['unknown-sender'] ?? 0;
    one.ping(GATEWAY_ADDRESS, 1);
    expect(gateway.stats()['unknown-sender']).toBe(before + 1);
  });
});
