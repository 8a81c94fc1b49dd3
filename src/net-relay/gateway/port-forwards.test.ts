import { describe, expect, it } from 'vitest';
import { GATEWAY_ADDRESS, gatewayWorld, type GatewayWorld } from './testing/gateway-world.ts';
import type { MemorySocket } from './testing/memory-host-network.ts';
import { join, noise, TestApplication } from './testing/tcp-host.ts';

async function forwarded(world: GatewayWorld, application: TestApplication): Promise<MemorySocket> {
  world.one.services.set(80, () => application);
  const { hostPort } = await world.gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 80 });
  const client = world.network.dial(hostPort);
  await world.pass(20);
  return client;
}

describe('a port forward', () => {
  it('carries a request in and the response out, and closes both sides in order (GW40)', async () => {
    const world = gatewayWorld();
    const request = noise(1, 100_000);
    const response = noise(2, 2_000_000);
    const application = new TestApplication(response, true);
    const client = await forwarded(world, application);
    client.peerSends(request);
    await world.pass(2000);
    expect(Buffer.compare(join(application.received), request)).toBe(0);
    expect(Buffer.compare(join(client.received), response)).toBe(0);
    expect([client.ended, client.closed]).toEqual([true, false]);
    client.peerEnds();
    await world.pass(100);
    expect([client.closed, client.wasReset]).toEqual([true, false]);
    await world.pass(60_000);
    expect(world.gateway.stats()).toMatchObject({ 'tcp-open': 0, 'tcp-time-wait': 0, 'tcp-buffer-bytes': 0, 'forward-opened': 1 });
    expect(world.clock.pending).toBe(0);
  });

  it('is seen by the guest as coming from the gateway (GW40)', async () => {
    const world = gatewayWorld();
    const application = new TestApplication(new Uint8Array(0), false);
    await forwarded(world, application);
    expect(application.connection?.endpoints.remoteIp).toBe(GATEWAY_ADDRESS);
  });

  it('resets the client when the guest refuses (GW41)', async () => {
    const world = gatewayWorld();
    const { hostPort } = await world.gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 81 });
    const client = world.network.dial(hostPort);
    await world.pass(10);
    expect(client.wasReset).toBe(true);
    expect(world.gateway.stats()).toMatchObject({ 'forward-refused': 1, 'tcp-open': 0 });
  });

  it("passes on the client's half close, and lets the guest finish its answer (GW42)", async () => {
    const world = gatewayWorld();
    const application = new TestApplication(new Uint8Array(0), false);
    const client = await forwarded(world, application);
    client.peerSends(noise(1, 10));
    client.peerEnds();
    await world.pass(100);
    expect([application.ended, client.ended]).toEqual([true, false]);
    application.send(noise(2, 300_000));
    await world.pass(1000);
    application.connection?.shutdown();
    await world.pass(100);
    expect(Buffer.compare(join(client.received), noise(2, 300_000))).toBe(0);
    expect([client.closed, client.wasReset, application.closed]).toEqual([true, false, 'done']);
  });

  it('passes on a reset, from either side (GW43)', async () => {
    for (const from of ['guest', 'client'] as const) {
      const world = gatewayWorld();
      const application = new TestApplication(new Uint8Array(0), false);
      const client = await forwarded(world, application);
      if (from === 'guest') application.connection?.abort();
      else client.peerResets();
      await world.pass(100);
      expect([client.closed, client.wasReset], from).toEqual([true, from === 'guest']);
      expect(application.closed).toBe(from === 'guest' ? 'aborted' : 'reset');
      expect(world.clock.pending).toBe(0);
    }
  });

  it('gives the client what the guest sent before it reset the connection (GW43)', async () => {
    const world = gatewayWorld();
    const application = new TestApplication(noise(1, 100_000), false);
    const client = await forwarded(world, application);
    await world.pass(100);
    application.connection?.abort();
    await world.pass(100);
    expect(join(client.received).length).toBe(100_000);
    expect(client.wasReset).toBe(true);
  });

  it('holds back the guest while the client does not read, in bounded memory, and loses nothing (GW44)', async () => {
    const world = gatewayWorld();
    const response = noise(3, 8_000_000);
    const application = new TestApplication(response, true);
    world.one.services.set(80, () => application);
    const { hostPort } = await world.gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 80 });
    const client = world.network.dial(hostPort);
    client.draining = false;
    await world.pass(30_000);
    expect(application.allSent).toBe(false);
    expect(world.gateway.stats()['tcp-buffer-bytes']).toBeLessThanOrEqual(4 * 1024 * 1024);
    client.drain();
    await world.pass(60_000);
    expect(Buffer.compare(join(client.received), response)).toBe(0);
  });

  it('holds back the client while the guest does not read, in bounded memory, and loses nothing (GW44)', async () => {
    const world = gatewayWorld();
    const application = new TestApplication(new Uint8Array(0), false);
    application.reading = false;
    const client = await forwarded(world, application);
    const request = noise(4, 8_000_000);
    for (let at = 0; at < request.length; at += 65_536) client.peerSends(request.subarray(at, at + 65_536));
    client.peerEnds();
    await world.pass(30_000);
    expect(client.paused).toBe(true);
    expect(client.unread).toBeGreaterThan(6_000_000);
    expect(world.gateway.stats()['tcp-buffer-bytes']).toBeLessThanOrEqual(1024 * 1024);
    application.reading = true;
    application.readAll();
    await world.pass(60_000);
    expect(Buffer.compare(join(application.received), request)).toBe(0);
    expect(application.ended).toBe(true);
  });

  it('says why it cannot be opened (GW45)', async () => {
    const { gateway } = gatewayWorld();
    await gateway.addForward({ vmId: 'one', hostPort: 8080, guestPort: 80 });
    await expect(gateway.addForward({ vmId: 'two', hostPort: 8080, guestPort: 80 })).rejects.toThrow(/Port 8080 of the host is taken: choose another/);
    await expect(gateway.addForward({ vmId: 'three', hostPort: 0, guestPort: 80 })).rejects.toThrow(/There is no such VM/);
    await expect(gateway.addForward({ vmId: 'one', hostPort: -1, guestPort: 80 })).rejects.toThrow(/host port must be a number from 0/);
    await expect(gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 0 })).rejects.toThrow(/guest port must be a number from 1/);
    for (let port = 0; port < 63; port++) await gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 1000 + port });
    await expect(gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 80 })).rejects.toThrow(/64 forwards already/);
  });

  it('can be listed and removed while it runs, and all go with the gateway (GW45)', async () => {
    const { gateway, network, leases, clock } = gatewayWorld();
    await gateway.addForward({ vmId: 'two', hostPort: 9000, guestPort: 80 });
    await gateway.addForward({ vmId: 'two', hostPort: 9001, guestPort: 22 });
    expect(gateway.forwards('two')).toEqual([
      { vmId: 'two', hostPort: 9001, guestPort: 22 },
      { vmId: 'two', hostPort: 9000, guestPort: 80 },
    ]);
    expect(await gateway.removeForward(9000)).toBe(true);
    expect(await gateway.removeForward(9000)).toBe(false);
    expect([...network.listeners.keys()]).toEqual([9001]);
    await gateway.dispose();
    expect([...network.listeners.keys()]).toEqual([]);
    expect(leases.listenerCount).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('takes a thousand clients that send nothing, in little memory, and serves another one meanwhile (GW46)', async () => {
    const world = gatewayWorld();
    const applications: TestApplication[] = [];
    world.one.services.set(80, () => {
      const application = new TestApplication(noise(1, 1000), false);
      applications.push(application);
      return application;
    });
    const { hostPort } = await world.gateway.addForward({ vmId: 'one', hostPort: 0, guestPort: 80 });
    const clients = Array.from({ length: 1000 }, () => world.network.dial(hostPort));
    await world.pass(3000);
    expect(clients.every((client) => join(client.received).length === 1000)).toBe(true);
    expect(world.gateway.stats()['tcp-open']).toBe(1000);
    for (let extra = 0; extra < 1100; extra++) clients.push(world.network.dial(hostPort));
    await world.pass(3000);
    expect(clients.filter((client) => client.wasReset).length).toBe(52);
    expect(world.gateway.stats()['forward-too-many']).toBe(52);
    await world.gateway.dispose();
    await world.pass(10);
    expect(clients.every((client) => client.closed)).toBe(true);
  });
});
