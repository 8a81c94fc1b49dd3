import { describe, expect, it } from 'vitest';
import { parseIpv4Address } from './address.ts';
import { IcmpType, UnreachableCode } from './icmp.ts';
import { createOutboundPolicy } from './outbound-policy.ts';
import { GATEWAY_ADDRESS, gatewayWorld, OUTSIDE } from './testing/gateway-world.ts';
import { join, noise, TestApplication } from './testing/tcp-host.ts';

const at = (text: string): number => parseIpv4Address(text) ?? 0;

describe('the way out for guests', () => {
  it('is closed by default: TCP is reset, UDP answered as prohibited, at once and with a reason (GW50)', async () => {
    const { gateway, network, one, pass } = gatewayWorld();
    const application = new TestApplication(new Uint8Array(0), false);
    one.connect(OUTSIDE, 80, application);
    one.sendUdp(OUTSIDE, 5000, 123, new Uint8Array(10));
    await pass(10);
    expect(application.closed).toBe('refused');
    expect(one.icmp[0]).toMatchObject({ type: IcmpType.unreachable, code: UnreachableCode.prohibited });
    expect(gateway.stats()['outbound-off']).toBe(2);
    expect([network.dialled, network.udp]).toEqual([[], []]);
  });

  it('carries TCP over a socket of the host machine, answering the guest only when the outside has (GW51)', async () => {
    const { network, one, pass } = gatewayWorld({ outbound: [] });
    const application = new TestApplication(noise(1, 50_000), true);
    one.connect(OUTSIDE, 80, application);
    await pass(5000);
    expect(application.established).toBe(false);
    expect(network.dialled.map(({ address, port }) => [address, port])).toEqual([['93.184.216.34', 80]]);
    const { socket } = network.dialled[0]!;
    socket.handlers.onConnect();
    await pass(100);
    expect(Buffer.compare(join(socket.received), noise(1, 50_000))).toBe(0);
    expect(socket.ended).toBe(true);
    socket.peerSends(noise(2, 70_000));
    socket.peerEnds();
    await pass(15_000);
    expect(Buffer.compare(join(application.received), noise(2, 70_000))).toBe(0);
    expect([application.closed, socket.closed, socket.wasReset]).toEqual(['done', true, false]);
  });

  it('refuses the guest what the outside refuses (GW51)', async () => {
    const { gateway, network, one, pass, clock } = gatewayWorld({ outbound: [] });
    const application = new TestApplication(new Uint8Array(0), false);
    one.connect(OUTSIDE, 80, application);
    await pass(1);
    network.dialled[0]!.socket.close('ECONNREFUSED');
    await pass(10);
    expect(application.closed).toBe('refused');
    expect(gateway.stats()).toMatchObject({ 'outbound-failed': 1, 'tcp-open': 0 });
    expect(clock.pending).toBe(0);
  });

  it('lets go of the outside when the guest gives up first (GW51)', async () => {
    const { gateway, network, leases, one, pass } = gatewayWorld({ outbound: [] });
    one.connect(OUTSIDE, 80, new TestApplication(new Uint8Array(0), false));
    await pass(1);
    leases.set([]);
    await pass(1);
    expect(network.dialled[0]!.socket.closed).toBe(true);
    expect(gateway.stats()['tcp-open']).toBe(0);
  });

  it("carries UDP, and lets in answers only from whom the guest has written to (GW52)", async () => {
    const { network, one, pass } = gatewayWorld({ outbound: [] });
    one.sendUdp(OUTSIDE, 5000, 123, noise(1, 3000));
    await pass(0);
    const [flow] = network.udp;
    expect(flow?.sent.map(({ address, port, data }) => [address, port, data.length])).toEqual([['93.184.216.34', 123, 3000]]);
    flow!.onMessage(noise(2, 4000), '93.184.216.34', 123);
    flow!.onMessage(noise(3, 10), '93.184.216.34', 124);
    flow!.onMessage(noise(3, 10), '8.8.8.8', 123);
    await pass(0);
    expect(one.datagrams).toHaveLength(1);
    expect(one.datagrams[0]).toMatchObject({ source: OUTSIDE, sourcePort: 123, destinationPort: 5000 });
    expect(Buffer.compare(one.datagrams[0]!.payload, noise(2, 4000))).toBe(0);
  });

  it('closes a UDP flow after two idle minutes, and the least used when a guest has too many (GW52)', async () => {
    const { gateway, network, one, pass, clock } = gatewayWorld({ outbound: [] });
    for (let port = 0; port < 300; port++) one.sendUdp(OUTSIDE, 1000 + port, 123, new Uint8Array(1));
    await pass(0);
    expect(network.udp.filter((flow) => !flow.closed)).toHaveLength(256);
    expect(network.udp[0]?.closed).toBe(true);
    expect(gateway.stats()['outbound-too-many']).toBe(44);
    await pass(60_000);
    one.sendUdp(OUTSIDE, 1299, 123, new Uint8Array(1));
    await pass(70_000);
    expect(network.udp.filter((flow) => !flow.closed)).toHaveLength(1);
    await pass(120_000);
    expect(network.udp.every((flow) => flow.closed)).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("reaches the host machine's own loopback only by the rule that names it, under the gateway's address (GW53)", async () => {
    for (const outbound of [[], ['host:8080']]) {
      const { network, one, pass } = gatewayWorld({ outbound });
      const [open, closed] = [new TestApplication(new Uint8Array(0), false), new TestApplication(new Uint8Array(0), false)];
      one.connect(GATEWAY_ADDRESS, 8080, open);
      one.connect(GATEWAY_ADDRESS, 8081, closed);
      await pass(10);
      expect(closed.closed).toBe('refused');
      expect(open.closed).toBe(outbound.length === 0 ? 'refused' : null);
      expect(network.dialled.map(({ address, port }) => [address, port])).toEqual(outbound.length === 0 ? [] : [['127.0.0.1', 8080]]);
    }
  });

  it('gives each guest so many connections and no more (GW54)', async () => {
    const { gateway, network, one, two, pass } = gatewayWorld({ outbound: [] });
    for (let count = 0; count < 1100; count++) one.connect(OUTSIDE, 80, new TestApplication(new Uint8Array(0), false));
    await pass(0);
    two.connect(OUTSIDE, 80, new TestApplication(new Uint8Array(0), false));
    await pass(0);
    expect(network.dialled).toHaveLength(1025);
    expect(gateway.stats()['outbound-too-many']).toBe(76);
    await gateway.dispose();
    expect(network.dialled.every(({ socket }) => socket.closed)).toBe(true);
  });
});

describe('an outbound rule', () => {
  const policy = (...rules: string[]) => createOutboundPolicy(rules, GATEWAY_ADDRESS, 0xffffff00);

  it('opens what it names and nothing else (GW55)', () => {
    const some = policy('tcp:*:443', 'udp:9.9.9.9:53', '192.168.7.0/24:8000-8010');
    expect(some.judge('tcp', OUTSIDE, 443).allowed).toBe(true);
    expect(some.judge('udp', OUTSIDE, 443).allowed).toBe(false);
    expect(some.judge('udp', at('9.9.9.9'), 53)).toEqual({ allowed: true, address: '9.9.9.9' });
    expect(some.judge('udp', at('9.9.9.8'), 53).allowed).toBe(false);
    expect(some.judge('tcp', at('192.168.7.200'), 8010).allowed).toBe(true);
    expect(some.judge('tcp', at('192.168.7.200'), 8011).allowed).toBe(false);
    expect(some.judge('tcp', at('192.168.8.1'), 8000).allowed).toBe(false);
  });

  it('never opens the LAN itself, loopback, link-local, multicast or reserved addresses (GW55)', () => {
    const all = policy('*', '0.0.0.0/0', 'host');
    for (const address of ['10.86.0.7', '127.0.0.1', '0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.255']) {
      expect(all.judge('tcp', at(address), 80).allowed, address).toBe(false);
    }
    expect(all.judge('tcp', OUTSIDE, 80).allowed).toBe(true);
    expect(all.judge('tcp', GATEWAY_ADDRESS, 80)).toEqual({ allowed: true, address: '127.0.0.1' });
  });

  it('that cannot be read is refused with how one is written (GW55)', () => {
    for (const rule of ['', 'sctp:*', '1.2.3', '1.2.3.4/33', '*:0', '*:70000', '*:20-10', 'example.org']) expect(() => policy(rule), rule).toThrow(/outbound rule|is not an address/);
  });
});
