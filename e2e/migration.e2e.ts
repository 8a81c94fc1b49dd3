/** A running PC moves between tabs: what the guest and the world see of it (A2-A6). */
import { createHash } from 'node:crypto';
import { get } from 'node:http';
import type { BrowserContext } from '@playwright/test';
import { FULL } from '../src/shared/testing/full.ts';
import { HostPage } from './harness/host-page.ts';
import { namespaceObstacle } from './harness/network-namespace.ts';
import { pollFor } from './harness/poll-for.ts';
import { patternDigest } from './harness/pattern.ts';
import { newRoom, type Room } from './harness/room.ts';
import type { ServerProcess } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

/** For what a loaded guest does on a loaded machine. */
const SLOW_MS = 90_000;

/** Opens tabs of a room of their own; the first one starts the VM. */
async function openTabs(server: ServerProcess, context: BrowserContext, count: number): Promise<{ room: Room; tabs: HostPage[]; vmId: string }> {
  const room = newRoom();
  const tabs: HostPage[] = [];
  for (let index = 0; index < count; index++) {
    const tab = new HostPage(await context.newPage(), `tab ${'ABCDEF'.charAt(index)}`);
    await tab.open(room.address(server.origin));
    if (index === 0) await tab.waitForPrompt((await tab.runningVm()).id);
    tabs.push(tab);
  }
  const [first] = tabs;
  if (first === undefined) throw new Error('At least one tab is needed');
  for (const tab of tabs) await tab.waitForHosts(count);
  return { room, tabs, vmId: (await first.runningVm()).id };
}

test('A2: a ticker goes on in the target at the next number, in the same process', async ({ server, context }) => {
  const {
    tabs: [a, b],
    vmId,
  } = await openTabs(server, context, 2);
  await a!.type(vmId, 'ticker 50 & echo pid=$!\n');
  const pid = (await a!.waitForText(vmId, /pid=(\d+)/))[1];
  await a!.waitForText(vmId, /ticker 20 /);

  const report = await a!.migrate(vmId, await b!.id());
  expect(report).toMatchObject({ outcome: 'completed', vmId, to: await b!.id(), verified: null });
  const last = Number((await b!.waitForText(vmId, /ticker (\d+) gap=/))[1]);
  await b!.waitForText(vmId, new RegExp(`ticker ${last + 40} `));

  const numbers = [...(await b!.consoleText(vmId)).matchAll(/ticker (\d+) gap=/g)].map((match) => Number(match[1]));
  expect(numbers.slice(0, 3)).toEqual([1, 2, 3]);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  await b!.type(vmId, '\n');
  expect((await b!.run(vmId, `cat /proc/${pid ?? ''}/comm; kill ${pid ?? ''}`)).output).toContain('ticker');
});

test('A3: three hops under load leave no page stale, torn or foreign', async ({ server, context, network }) => {
  test.skip(network === 'loopback' && !FULL && (await namespaceObstacle()) === null, 'once is enough: it is moved in another network as well');
  test.slow();
  const {
    tabs: [a, b, c],
    vmId,
  } = await openTabs(server, context, 3);
  await a!.run(vmId, 'mkdir -p /tmp/ram && mount -t tmpfs none /tmp/ram');
  await a!.run(vmId, '(while :; do dd if=/dev/urandom of=/tmp/ram/noise bs=64k count=32 2>/dev/null; done) & true');
  await a!.type(vmId, 'pagecheck 16 2000\n');
  await a!.waitForText(vmId, /pagecheck gen=\d+ bad=0/, SLOW_MS);

  const route = [
    [a, b],
    [b, c],
    [c, a],
  ] as const;
  for (const [from, to] of route) {
    const report = await from!.migrate(vmId, await to!.id(), { verify: true, maxPauseMs: 5000 });
    expect(report).toMatchObject({ outcome: 'completed', verified: true });
    const seen = (await to!.consoleText(vmId)).match(/pagecheck gen=/g)?.length ?? 0;
    await pollFor('pagecheck to report in the target', async () => ((await to!.consoleText(vmId)).match(/pagecheck gen=/g)?.length ?? 0) >= seen + 3, SLOW_MS);
    expect(await to!.consoleText(vmId)).not.toMatch(/bad=[1-9]/);
  }
  expect((await a!.vm(vmId))?.epoch).toBe(4);
});

test('A4: one TCP connection downloads from the guest across a migration', async ({ server, context }) => {
  const {
    room,
    tabs: [a, b],
    vmId,
  } = await openTabs(server, context, 2);
  const megabytes = 16;
  const port = await forwardedPort(room, server.origin, 80);
  // The guest's services start a moment after its shell.
  await pollFor('the guest to serve its page', async () => (await fetch(`http://127.0.0.1:${port}/`)).ok, SLOW_MS);
  const hash = createHash('sha256');
  let received = 0;
  let connections = 0;
  const done = new Promise<void>((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: `/cgi-bin/stream?mb=${megabytes}&seed=7`, agent: false }, (response) => {
      response.on('data', (chunk: Buffer) => {
        received += chunk.length;
        hash.update(chunk);
      });
      response.on('end', resolve);
      response.on('error', reject);
    });
    request.on('socket', () => connections++);
    request.on('error', reject);
  });
  await pollFor('the download to be under way', () => received > 1024 * 1024);
  const report = await a!.migrate(vmId, await b!.id(), { maxPauseMs: 5000 });
  expect(report).toMatchObject({ outcome: 'completed' });
  expect(received).toBeLessThan(megabytes * 1024 * 1024);
  await done;
  expect({ received, connections }).toEqual({ received: megabytes * 1024 * 1024, connections: 1 });
  expect(hash.digest('hex')).toBe(patternDigest(megabytes, 7));
});

test('A5: MAC and IP stay, the epoch rises by one, and at most one ping is lost', async ({ server, context }) => {
  const {
    tabs: [a, b],
    vmId,
  } = await openTabs(server, context, 2);
  const before = await a!.vm(vmId);
  await b!.page.evaluate(() => {
    const store = window as unknown as { pings: { seq: number; rttMs: number | null }[] };
    store.pings = [];
    window.tabmotion.on('ping', ({ seq, rttMs }) => store.pings.push({ seq, rttMs }));
  });
  const pings = (): Promise<{ seq: number; rttMs: number | null }[]> =>
    b!.page.evaluate(() => (window as unknown as { pings: { seq: number; rttMs: number | null }[] }).pings);
  await pollFor('pings to be answered', async () => (await pings()).filter((ping) => ping.rttMs !== null).length >= 10);
  const from = (await pings()).length;
  const report = await a!.migrate(vmId, await b!.id());
  expect(report).toMatchObject({ outcome: 'completed' });
  // Long enough that a lost ping has been given up and reported.
  await pollFor('pings over the switchover', async () => (await pings()).length >= from + 60);

  const after = await b!.vm(vmId);
  expect(after).toMatchObject({ mac: before?.mac, ip: before?.ip, epoch: (before?.epoch ?? 0) + 1, hostId: await b!.id() });
  const samples = (await pings()).slice(from);
  expect(samples.filter((ping) => ping.rttMs === null).length).toBeLessThanOrEqual(1);
  expect(new Set(samples.map((ping) => ping.seq)).size).toBe(samples.length);
  await b!.type(vmId, '\n');
  const { output } = await b!.run(vmId, 'cat /sys/class/net/eth0/address; ip -4 addr show eth0');
  expect(output).toContain(before?.mac ?? 'no MAC');
  expect(output).toContain(before?.ip ?? 'no IP');
});

test('A6: files written before and during the migration are whole in the target; the base image is untouched', async ({ server, context }) => {
  const {
    tabs: [a, b],
    vmId,
  } = await openTabs(server, context, 2);
  const manifest = (await (await fetch(`${server.origin}/guest/manifest.json`)).json()) as { disk: { name: string; sha256: string } };
  await a!.run(vmId, 'pattern 2 1 > /root/before && sync');
  await a!.type(vmId, '(pattern 4 2 > /root/during; sync; echo wri""tten) &\n');
  const report = await a!.migrate(vmId, await b!.id(), { maxPauseMs: 5000 });
  expect(report).toMatchObject({ outcome: 'completed' });
  await b!.waitForText(vmId, /written/, SLOW_MS);
  await b!.type(vmId, '\n');
  // Once from the page cache, then, after that was dropped, from the disk.
  for (const command of ['true', 'sync; echo 3 > /proc/sys/vm/drop_caches']) {
    const { output } = await b!.run(vmId, `${command}; sha256sum /root/before /root/during`);
    expect(output).toContain(`${patternDigest(2, 1)}  /root/before`);
    expect(output).toContain(`${patternDigest(4, 2)}  /root/during`);
  }
  const image = await (await fetch(`${server.origin}/guest/${manifest.disk.sha256}/${manifest.disk.name}`)).arrayBuffer();
  expect(createHash('sha256').update(Buffer.from(image)).digest('hex')).toBe(manifest.disk.sha256);
});

async function forwardedPort(room: Room, origin: string, guestPort: number): Promise<number> {
  return pollFor(`a forward to guest port ${guestPort}`, async () => {
    const { vms } = await room.describe(origin);
    return vms[0]?.forwards.find((forward) => forward.guestPort === guestPort)?.hostPort;
  });
}
