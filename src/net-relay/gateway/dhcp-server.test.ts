import { describe, expect, it } from 'vitest';
import { BROADCAST_IP } from './address.ts';
import { DHCP_BROADCAST_FLAG, DhcpOption, DhcpType, parseDhcp, serializeDhcp, uint32Bytes, uint32Option, type DhcpMessage } from './dhcp-message.ts';
import type { FrameGuest } from './testing/frame-guest.ts';
import { GATEWAY_ADDRESS, gatewayWorld, OUTSIDE } from './testing/gateway-world.ts';

function message(guest: FrameGuest, type: number, change: Partial<DhcpMessage> = {}, options: [number, Uint8Array][] = []): Uint8Array {
  return serializeDhcp({
    op: 1,
    transaction: 77,
    flags: 0,
    clientIp: 0,
    yourIp: 0,
    relayIp: 0,
    mac: guest.mac,
    options: new Map<number, Uint8Array>([[DhcpOption.messageType, Uint8Array.of(type)], ...options]),
    ...change,
  });
}

function lastAnswer(guest: FrameGuest): DhcpMessage {
  const answer = parseDhcp(guest.datagrams.at(-1)!.payload);
  if (answer === 'dhcp-malformed') throw new Error(answer);
  return answer;
}

const typeOf = (answer: DhcpMessage): number | undefined => answer.options.get(DhcpOption.messageType)?.[0];

describe('DHCP', () => {
  it("offers and grants the address that is leased to the guest's MAC, with gateway, names and MTU (GW13)", async () => {
    const { one, pass } = gatewayWorld();
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.discover), 0);
    await pass(0);
    const offer = lastAnswer(one);
    expect([typeOf(offer), offer.yourIp, offer.transaction]).toEqual([DhcpType.offer, one.ip, 77]);
    one.sendUdp(
      BROADCAST_IP,
      68,
      67,
      message(one, DhcpType.request, {}, [
        [DhcpOption.requestedAddress, uint32Bytes(offer.yourIp)],
        [DhcpOption.serverId, uint32Bytes(GATEWAY_ADDRESS)],
      ]),
      0,
    );
    await pass(0);
    const ack = lastAnswer(one);
    expect([typeOf(ack), ack.yourIp]).toEqual([DhcpType.ack, one.ip]);
    expect(uint32Option(ack, DhcpOption.subnetMask)).toBe(0xffffff00);
    expect(uint32Option(ack, DhcpOption.broadcast)).toBe(GATEWAY_ADDRESS | 255);
    for (const option of [DhcpOption.router, DhcpOption.dns, DhcpOption.serverId]) expect(uint32Option(ack, option)).toBe(GATEWAY_ADDRESS);
    expect(new TextDecoder().decode(ack.options.get(DhcpOption.hostName))).toBe('one');
    expect([...(ack.options.get(DhcpOption.mtu) ?? [])]).toEqual([5, 220]);
  });

  it('renews by unicast, and answers a client that asks for it by broadcast (GW13)', async () => {
    const { one, two, pass } = gatewayWorld();
    one.sendUdp(GATEWAY_ADDRESS, 68, 67, message(one, DhcpType.request, { clientIp: one.ip }));
    await pass(0);
    expect(typeOf(lastAnswer(one))).toBe(DhcpType.ack);
    expect(one.packets.at(-1)?.destination).toBe(one.ip);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.discover, { flags: DHCP_BROADCAST_FLAG }), 0);
    await pass(0);
    expect(one.packets.at(-1)?.destination).toBe(BROADCAST_IP);
    expect(two.packets.at(-1)?.destination).toBe(BROADCAST_IP);
  });

  it("says no to a request for an address that is not the guest's, and the lease stays (GW14)", async () => {
    const { gateway, one, two, pass } = gatewayWorld();
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.request, {}, [[DhcpOption.requestedAddress, uint32Bytes(two.ip)]]), 0);
    await pass(0);
    expect(typeOf(lastAnswer(one))).toBe(DhcpType.nak);
    one.sendUdp(GATEWAY_ADDRESS, 68, 67, message(one, DhcpType.release, { clientIp: one.ip }));
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.decline, {}, [[DhcpOption.requestedAddress, uint32Bytes(one.ip)]]), 0);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.discover), 0);
    await pass(0);
    expect(lastAnswer(one).yourIp).toBe(one.ip);
    expect(gateway.stats()).toMatchObject({ 'dhcp-refused': 1, 'dhcp-released': 1, 'dhcp-declined': 1 });
  });

  it('gives settings without an address to a guest that only informs itself (GW13)', async () => {
    const { one, pass } = gatewayWorld();
    one.sendUdp(GATEWAY_ADDRESS, 68, 67, message(one, DhcpType.inform, { clientIp: one.ip }));
    await pass(0);
    const ack = lastAnswer(one);
    expect([typeOf(ack), ack.yourIp, ack.options.has(DhcpOption.leaseTime)]).toEqual([DhcpType.ack, 0, false]);
  });

  it('is silent to MACs without a lease, to relays, to clients of another server and to nonsense, and counts them (GW14)', async () => {
    const { gateway, one, two, pass } = gatewayWorld();
    one.sendUdp(BROADCAST_IP, 68, 67, message(two, DhcpType.discover), 0);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.discover, { mac: 0x020000000099 }), 0);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.discover, { relayIp: 5 }), 0);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.request, {}, [[DhcpOption.serverId, uint32Bytes(OUTSIDE)]]), 0);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, 99), 0);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.discover).subarray(0, 239), 0);
    one.sendUdp(BROADCAST_IP, 68, 67, message(one, DhcpType.discover, { op: 2 }), 0);
    await pass(0);
    expect(one.datagrams).toEqual([]);
    expect(gateway.stats()).toMatchObject({ 'dhcp-unknown-client': 2, 'dhcp-malformed': 4 });
  });
});
