import { describe, expect, it } from 'vitest';
import { DnsCode, DnsType, parseDnsAnswer, serializeDnsQuery } from './dns-message.ts';
import { GATEWAY_ADDRESS, gatewayWorld, OUTSIDE, type GatewayWorld } from './testing/gateway-world.ts';

async function ask(world: GatewayWorld, name: string, type: number = DnsType.a): Promise<ReturnType<typeof parseDnsAnswer>> {
  const query = serializeDnsQuery(7, name, type);
  world.one.datagrams.length = 0;
  world.one.sendUdp(GATEWAY_ADDRESS, 5000, 53, query);
  await world.pass(0);
  const [answer] = world.one.datagrams;
  return answer === undefined ? null : parseDnsAnswer(answer.payload, query);
}

describe('DNS', () => {
  it("answers the room's own names, bare or in its domain, in any case, with their address (GW15)", async () => {
    const world = gatewayWorld({ names: (name) => (name === 'printer' ? '10.86.0.77' : null) });
    for (const name of ['two', 'TWO', 'two.tabmotion.internal']) expect(await ask(world, name)).toEqual({ code: DnsCode.ok, addresses: [world.two.ip] });
    for (const name of ['gateway', 'host']) expect(await ask(world, name)).toEqual({ code: DnsCode.ok, addresses: [GATEWAY_ADDRESS] });
    expect(await ask(world, 'printer')).toEqual({ code: DnsCode.ok, addresses: [GATEWAY_ADDRESS + 76] });
    expect(await ask(world, 'two', DnsType.aaaa)).toEqual({ code: DnsCode.ok, addresses: [] });
    expect(await ask(world, 'three')).toEqual({ code: DnsCode.noSuchName, addresses: [] });
  });

  it('follows a VM that comes, goes, or changes its name (GW15)', async () => {
    const world = gatewayWorld();
    world.leases.set([world.one.lease('one', 'One'), world.two.lease('two', 'Web Server #2')]);
    expect(await ask(world, 'two')).toMatchObject({ code: DnsCode.noSuchName });
    expect(await ask(world, 'web-server-2')).toMatchObject({ addresses: [world.two.ip] });
  });

  it('refuses names of the outside at once while outbound is off (GW16)', async () => {
    const world = gatewayWorld();
    expect(await ask(world, 'example.org')).toEqual({ code: DnsCode.refused, addresses: [] });
    expect(world.gateway.stats()['dns-refused']).toBe(1);
  });

  it("asks the system's resolver when outbound is on, and shows the host's loopback under the gateway's address (GW17)", async () => {
    const world = gatewayWorld({ outbound: [] });
    world.network.names.set('example.org', ['93.184.216.34', '127.0.0.5']);
    expect(await ask(world, 'Example.ORG')).toEqual({ code: DnsCode.ok, addresses: [OUTSIDE, GATEWAY_ADDRESS] });
    expect(await ask(world, 'nowhere.example.org')).toMatchObject({ code: DnsCode.noSuchName });
    expect(await ask(world, 'example.org', DnsType.aaaa)).toEqual({ code: DnsCode.ok, addresses: [] });
    expect(await ask(world, 'example.org', 15)).toMatchObject({ code: DnsCode.notImplemented });
  });

  it('asks the system only so many questions at a time, and fewer for one guest (GW17)', async () => {
    const never = new Promise<string[]>(() => undefined);
    const world = gatewayWorld({ outbound: [] });
    world.network.resolve = () => never;
    for (let count = 0; count < 100; count++) world.one.sendUdp(GATEWAY_ADDRESS, 5000, 53, serializeDnsQuery(count, `n${count}.example.org`, DnsType.a));
    await world.pass(0);
    expect(world.one.datagrams.length).toBe(84);
    expect(world.gateway.stats()['dns-busy']).toBe(84);
    world.two.sendUdp(GATEWAY_ADDRESS, 5000, 53, serializeDnsQuery(1, 'other.example.org', DnsType.a));
    await world.pass(0);
    expect(world.gateway.stats()['dns-busy']).toBe(84);
  });

  it('drops what does not parse, and counts it (GW18)', async () => {
    const world = gatewayWorld();
    const good = serializeDnsQuery(1, 'two', DnsType.a);
    const bad = [
      new Uint8Array(3),
      good.subarray(0, good.length - 1),
      Uint8Array.from(good, (byte, at) => (at === 12 ? 0xc0 : byte)),
      Uint8Array.from(good, (byte, at) => (at === 2 ? 0x80 : byte)),
    ];
    for (const bytes of bad) world.one.sendUdp(GATEWAY_ADDRESS, 5000, 53, bytes);
    await world.pass(0);
    expect(world.one.datagrams).toEqual([]);
    expect(world.gateway.stats()['dns-malformed']).toBe(bad.length);
  });
});
