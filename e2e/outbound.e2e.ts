/** The guest and the outside of the LAN: what `--outbound` opens, and how it feels without (B5). */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HostPage } from './harness/host-page.ts';
import { createNamespace, namespaceObstacle } from './harness/network-namespace.ts';
import { startServer, type ServerProcess } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

/** A refused guest learns it within a round trip; an ignored guest waits 30 s here (wget, traceroute) or 15 s (nslookup). */
const AT_ONCE_MS = 10_000;
const DNS_PORT = 53;
// The guest's busybox is Debian's own, whose `wget -T` crashes: `timeout` bounds it.
const NAME = 'web.outside.test';

/** A web server that answers with the Host header and the path of the request. */
async function webServer(address: string): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => response.end(`hello ${request.headers.host ?? ''} ${request.url ?? ''}\n`)).listen(0, address);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** A DNS server over UDP: every A question has `answer` as its answer. Records the names it was asked for. */
async function dnsServer(address: string, answer: string): Promise<{ socket: Socket; asked: string[] }> {
  const asked: string[] = [];
  const socket = createSocket('udp4', (query, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += length + 1;
    }
    const type = query.readUInt16BE(at + 1);
    asked.push(labels.join('.'));
    const header = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x85, 0x80, 0, 1, 0, type === 1 ? 1 : 0, 0, 0, 0, 0]);
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...answer.split('.').map(Number)]);
    socket.send(Buffer.concat([header, query.subarray(12, at + 5), ...(type === 1 ? [record] : [])]), from.port, from.address);
  });
  socket.bind(DNS_PORT, address);
  await once(socket, 'listening');
  return { socket, asked };
}

/** Each test has a room of its own, and without `--outbound-rooms` only the default room's guests go out. */
async function withServer(args: readonly string[], use: (server: ServerProcess) => Promise<void>): Promise<void> {
  const server = await startServer({ args: args.length === 0 ? [] : [...args, '--outbound-rooms', '*'] });
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

async function guestOf(openHost: (options: { server: ServerProcess }) => Promise<HostPage>, server: ServerProcess): Promise<{ tab: HostPage; vmId: string }> {
  const tab = await openHost({ server });
  const { id } = await tab.runningVm();
  await tab.waitForPrompt(id);
  return { tab, vmId: id };
}

test('B5: with an address that a rule names the guest asks a DNS server outside by UDP and fetches a page by that name', async ({ openHost }) => {
  const obstacle = await namespaceObstacle();
  test.skip(obstacle !== null, `needs an address of this machine that is not loopback: ${obstacle ?? ''}`);
  // Only its cable's end on this machine is used: `*` does not open it, a rule that names it does (GW57).
  const elsewhere = await createNamespace(9);
  const address = elsewhere.serverAddress;
  const [web, dns] = [await webServer(address), await dnsServer(address, address)];
  try {
    await withServer(['--outbound-to', `*,${address}`], async (server) => {
      const { tab, vmId } = await guestOf(openHost, server);
      const looked = await tab.run(vmId, `nslookup ${NAME} ${address}`);
      expect(looked.output).toContain(`Address: ${address}`);
      await tab.run(vmId, `echo nameserver ${address} > /etc/resolv.conf`);
      expect(await tab.run(vmId, `timeout 20 wget -q -O - http://${NAME}:${web.port}/some/page`)).toEqual({
        output: `hello ${NAME}:${web.port} /some/page`,
        status: 0,
      });
      expect(dns.asked).toContain(NAME);
      // Out, but not into this machine's own loopback: that takes a rule of its own.
      expect((await tab.run(vmId, `timeout 20 wget -q -O - http://10.86.0.1:${server.port}/healthz 2>&1`)).output).toContain('Connection refused');
    });
  } finally {
    web.server.close();
    dns.socket.close();
    await elsewhere.dispose();
  }
});

test('B5: a rule that names the host opens a loopback server to the guest, by name, and its neighbours stay closed', async ({ openHost }) => {
  const [open, closed] = [await webServer('127.0.0.1'), await webServer('127.0.0.1')];
  try {
    await withServer(['--outbound-to', `host:${open.port}`], async (server) => {
      const { tab, vmId } = await guestOf(openHost, server);
      expect(await tab.run(vmId, `timeout 20 wget -q -O - http://host.tabmotion.internal:${open.port}/x`)).toEqual({
        output: `hello host.tabmotion.internal:${open.port} /x`,
        status: 0,
      });
      const refused = await tab.run(vmId, `timeout 20 wget -O - http://host.tabmotion.internal:${closed.port}/ 2>&1`);
      expect(refused.output).toContain('Connection refused');
      expect(refused.status).not.toBe(0);
    });
  } finally {
    open.server.close();
    closed.server.close();
  }
});

test('B5: without --outbound everything outside is refused at once, with a reason', async ({ openHost, server, room }) => {
  const { tab, vmId } = await guestOf(openHost, server);
  const timed = async (command: string): Promise<{ output: string; ms: number }> => {
    const started = performance.now();
    const { output } = await tab.run(vmId, command);
    return { output, ms: performance.now() - started };
  };
  const tcp = await timed('timeout 30 wget -O - http://192.0.2.1/ 2>&1');
  expect(tcp.output).toContain('Connection refused');
  expect(tcp.ms).toBeLessThan(AT_ONCE_MS);
  const dns = await timed('nslookup example.org 2>&1');
  expect(dns.output).toContain('REFUSED');
  expect(dns.ms).toBeLessThan(AT_ONCE_MS);
  // To anything but TCP the answer is ICMP's "prohibited", which traceroute writes as !A.
  const udp = await timed('traceroute -n -m 1 -q 1 -w 30 192.0.2.1 2>&1');
  expect(udp.output).toMatch(/10\.86\.0\.1 .* !A/);
  expect(udp.ms).toBeLessThan(AT_ONCE_MS);
  // The room itself goes on: its names, and the gateway's ping.
  expect((await tab.run(vmId, 'nslookup gateway.tabmotion.internal')).output).toContain('10.86.0.1');
  const figures = await room.describe(server.origin);
  for (const reason of ['outbound-off', 'dns-refused']) expect(figures.gateway?.[reason], reason).toBeGreaterThan(0);
});
