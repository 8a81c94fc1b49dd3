/** The room's network as a person and a tool handle it: port forwards at run time, traffic, a capture to take home. */
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { parsePcap } from '../src/net-relay/gateway/capture.ts';
import type { HostPage } from './harness/host-page.ts';
import { pollFor } from './harness/poll-for.ts';
import type { Room } from './harness/room.ts';
import { startServer, type ServerProcess } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

const SLOW_MS = 90_000;

/** How a connection to a port of this machine begins: the first bytes, or the error's code. */
function greeting(port: number, say = ''): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(say));
    socket.once('data', (data) => {
      resolve(data.toString('latin1'));
      socket.destroy();
    });
    socket.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    socket.once('close', () => resolve('closed'));
  });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function api(server: Pick<ServerProcess, 'origin'>, room: Room) {
  return (method: string, path: string, body?: object): Promise<Response> =>
    fetch(`${server.origin}/api/rooms/${room.name}/${path}`, {
      method,
      headers: { Authorization: `Bearer ${room.key}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
}

const rows = (tab: HostPage): Promise<number[]> =>
  tab.page.locator('[data-testid=forward-row]').evaluateAll((all) => all.map((row) => Number(row.getAttribute('data-host-port'))));

test('ports are forwarded by default and by --forward, and can be listed, added and removed from page, script and API (GW45, GW47)', async ({
  openHost,
  room,
}) => {
  const wanted = await freePort();
  const server = await startServer({ args: ['--forward', `${wanted}:${room.name}/pc1:80`] });
  try {
    const a = await openHost({ server, label: 'tab A' });
    const { id: vmId } = await a.runningVm();
    await a.waitForPrompt(vmId);
    const http = 'GET /cgi-bin/status HTTP/1.0\r\n\r\n';
    await pollFor('the forward of the command line to reach the guest', async () => (await greeting(wanted, http)).startsWith('HTTP/1.'), SLOW_MS);
    const ask = api(server, room);
    const listed = async (): Promise<{ vmId: string; guestPort: number; hostPort: number }[]> => (await ask('GET', 'forwards')).json() as Promise<never>;
    expect((await listed()).map(({ guestPort }) => guestPort)).toEqual([22, 80, 80]);
    expect(await listed()).toContainEqual({ vmId, guestPort: 80, hostPort: wanted });

    // From the page: the form adds one, on a port of one's own choice; the row's button takes it away.
    const chosen = await freePort();
    await a.page.getByTestId('network').locator('summary').click();
    await a.page.getByLabel('Port of the PC').fill('22');
    await a.page.getByLabel("Port of the server's machine").fill(String(chosen));
    await a.page.getByTestId('forward-form').getByRole('button').click();
    await expect(a.page.locator(`[data-testid=forward-row][data-host-port="${chosen}"]`)).toBeVisible();
    await pollFor('SSH to answer on the port chosen in the page', async () => (await greeting(chosen)).startsWith('SSH-2.0-'), SLOW_MS);
    // A port that is taken is refused, and the page says so.
    await a.page.getByLabel('Port of the PC').fill('80');
    await a.page.getByLabel("Port of the server's machine").fill(String(chosen));
    await a.page.getByTestId('forward-form').getByRole('button').click();
    await expect(a.page.getByTestId('notice')).toContainText(`Port ${chosen} of the host is taken`);
    await a.page.getByRole('button', { name: `Close port ${chosen}` }).click();
    await expect(a.page.locator(`[data-testid=forward-row][data-host-port="${chosen}"]`)).toHaveCount(0);
    expect(await greeting(chosen)).toBe('ECONNREFUSED');

    // A tool and a script of another tab add and remove forwards: every tab shows it.
    const b = await openHost({ server, label: 'tab B' });
    const added = (await (await ask('POST', 'forwards', { vm: 'pc1', guestPort: 80 })).json()) as { hostPort: number };
    expect(await greeting(added.hostPort, http)).toMatch(/^HTTP\/1/);
    await pollFor('tab B to list it', () =>
      b.page.evaluate(([vm, port]) => window.tabmotion.forwards(vm).some(({ hostPort }) => hostPort === port), [vmId, added.hostPort] as const),
    );
    await b.page.evaluate((port) => window.tabmotion.removeForward(port), added.hostPort);
    expect(await greeting(added.hostPort)).toBe('ECONNREFUSED');
    const own = await b.page.evaluate((vm) => window.tabmotion.addForward(vm, 80), vmId);
    await pollFor('tab A to show it', async () => (await rows(a)).includes(own.hostPort));
    expect((await ask('DELETE', `forwards/${own.hostPort}`)).status).toBe(204);
    await pollFor('tab A not to show it any more', async () => !(await rows(a)).includes(own.hostPort));

    // None of this works without the room's key, nor with another room's key.
    const stranger = await fetch(`${server.origin}/api/rooms/${room.name}/forwards`, { headers: { Authorization: `Bearer ${'x'.repeat(32)}` } });
    expect(stranger.status).toBe(403);
    const defaultKey = new URL(server.address).hash.slice(1);
    const elsewhere = await fetch(`${server.origin}/api/rooms/default/forwards/${wanted}`, {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${defaultKey}` },
    });
    expect(elsewhere.status).toBe(404);
    expect((await greeting(wanted, http)).startsWith('HTTP/1.')).toBe(true);
  } finally {
    await server.stop();
  }
});

test("the page shows a VM's traffic and saves the room's frames as a pcap file (GW60, NR21)", async ({ openHost, server, room }, testInfo) => {
  const tab = await openHost();
  const vm = await tab.runningVm();
  await tab.waitForPrompt(vm.id);
  const port = await pollFor('a forward to the web server', () =>
    tab.page.evaluate((id) => window.tabmotion.forwards(id).find(({ guestPort }) => guestPort === 80)?.hostPort ?? null, vm.id),
  );
  const page = async (): Promise<string> =>
    (await fetch(`http://127.0.0.1:${port}/cgi-bin/stream?mb=1&seed=1`)).arrayBuffer().then((body) => String(body.byteLength));
  await pollFor('the guest to serve', async () => (await page()) === String(1024 * 1024), SLOW_MS);

  const traffic = tab.page.getByTestId('traffic');
  const shown = async (): Promise<number> => Number(await traffic.getAttribute('data-from-guest'));
  await pollFor('a megabyte of traffic to be shown', async () => (await shown()) > 1024 * 1024);
  const before = await shown();
  await expect(traffic).toHaveText(/MB out · .* in/);

  await tab.page.getByTestId('network').locator('summary').click();
  await tab.page.getByTestId('capture-start').click();
  await expect(tab.page.getByTestId('capture-download')).toBeVisible();
  await page();
  await pollFor('the figure to grow', async () => (await shown()) > before + 1024 * 1024);
  const [download] = await Promise.all([tab.page.waitForEvent('download'), tab.page.getByTestId('capture-download').click()]);
  expect(download.suggestedFilename()).toBe(`${room.name}.pcap`);
  const path = testInfo.outputPath('room.pcap');
  await download.saveAs(path);
  const file = await readFile(path);
  const frames = parsePcap(file);
  expect(frames).not.toBeNull();
  // The file holds the whole download, from the request on, and only frames of this room's stations.
  expect(Buffer.concat(frames!.map(({ frame }) => frame)).includes('GET /cgi-bin/stream?mb=1&seed=1')).toBe(true);
  expect(frames!.reduce((sum, { frame }) => sum + frame.length, 0)).toBeGreaterThan(1024 * 1024);
  const macs = new Set(frames!.map(({ frame }) => Buffer.from(frame.subarray(6, 12)).toString('hex')));
  expect([...macs].sort()).toEqual(['020000000001', vm.mac.replaceAll(':', '')].sort());
  for (const { at } of frames!) expect(Math.abs(Date.now() - at)).toBeLessThan(SLOW_MS);
  const tcpdump = spawnSync('tcpdump', ['-n', '-r', path], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (tcpdump.error === undefined) {
    expect(tcpdump.status).toBe(0);
    expect(tcpdump.stdout.trim().split('\n')).toHaveLength(frames!.length);
  } else testInfo.annotations.push({ type: 'note', description: 'tcpdump is not installed: only our own parser has read the file' });

  await tab.page.getByTestId('capture-stop').click();
  await expect(tab.page.getByTestId('capture-start')).toBeVisible();
  const gone = await fetch(`${server.origin}/api/rooms/${room.name}/capture.pcap`, { headers: { Authorization: `Bearer ${room.key}` } });
  expect(gone.status).toBe(404);
  expect(tab.errors).toEqual([]);
});
