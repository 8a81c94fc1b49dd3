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

  it('carries UDP, and lets in answers only from whom the guest has written to (GW52)', async () => {
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

  it('judges where a name leads when the guest connects there, and counts what no rule names (GW57)', async () => {
    const { gateway, network, one, pass } = gatewayWorld({ outbound: [] });
    network.own.push('203.0.113.9');
    const inner = ['169.254.169.254', '168.63.129.16', '100.100.100.200', '192.168.1.1', '203.0.113.9'];
    const tried = inner.map((address) => {
      const application = new TestApplication(new Uint8Array(0), false);
      one.connect(at(address), 80, application);
      one.sendUdp(at(address), 5000, 53, new Uint8Array(1));
      return application;
    });
    await pass(10);
    expect(tried.map(({ closed }) => closed)).toEqual(inner.map(() => 'refused'));
    expect([network.dialled, network.udp]).toEqual([[], []]);
    expect(gateway.stats()['outbound-inner']).toBe(10);
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

  it('never opens the LAN itself, loopback, multicast or reserved addresses (GW55)', () => {
    const all = policy('*', '0.0.0.0/0', 'host');
    for (const address of ['10.86.0.7', '127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255']) {
      expect(all.judge('tcp', at(address), 80).allowed, address).toBe(false);
    }
    expect(all.judge('tcp', OUTSIDE, 80).allowed).toBe(true);
    expect(all.judge('tcp', GATEWAY_ADDRESS, 80)).toEqual({ allowed: true, address: '127.0.0.1' });
  });

  it('opens a private, shared or other inner network only if it lies within it (GW57)', () => {
    for (const [network, address] of [
      ['10.0.0.0/8', '10.1.2.3'],
      ['172.16.0.0/12', '172.31.0.1'],
      ['192.168.0.0/16', '192.168.7.1'],
      ['100.64.0.0/10', '100.64.0.1'],
      ['192.0.0.0/24', '192.0.0.8'],
      ['198.18.0.0/15', '198.19.0.1'],
    ] as const) {
      for (const wide of ['*', '0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1'])
        expect(policy(wide, '1.1.1.1').judge('tcp', at(address), 80).allowed, `${wide} ${address}`).toBe(false);
      expect(policy('*').judge('udp', at(address), 80), address).toEqual({ allowed: false, why: 'outbound-inner' });
      for (const narrow of [network, address])
        expect(policy('*', narrow).judge('tcp', at(address), 80), `${narrow} ${address}`).toEqual({ allowed: true, address });
    }
  });

  it("opens cloud metadata, link-local addresses and the host machine's own only by the very address (GW57)", () => {
    const own = ['203.0.113.9', '10.9.9.9'];
    for (const address of ['169.254.169.254', '169.254.170.2', '168.63.129.16', '100.100.100.200', '192.0.0.192', ...own]) {
      const judge = (...rules: string[]) => createOutboundPolicy(rules, GATEWAY_ADDRESS, 0xffffff00, () => own).judge('tcp', at(address), 80);
      for (const wide of ['*', '0.0.0.0/0', `${address}/16`, `${address}/31`])
        expect(judge(wide), `${wide} ${address}`).toEqual({ allowed: false, why: 'outbound-inner' });
      expect(judge(address), address).toEqual({ allowed: true, address });
    }
  });

  it('that cannot be read is refused with how one is written (GW55)', () => {
    for (const rule of ['', 'sctp:*', '1.2.3', '1.2.3.4/33', '*:0', '*:70000', '*:20-10', 'example.org'])
      expect(() => policy(rule), rule).toThrow(/outbound rule|is not an address/);
  });
});
