/** The gateway against the real Linux kernel, in a network namespace that this file makes. */
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:http';
import { createSocket } from 'node:dgram';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GATEWAY_IP, GATEWAY_MAC } from '../lan/lan.ts';
import type { PingSample } from './echo-prober.ts';
import { collect, createKernelLan, ending, sha256, type KernelLan } from './testing/kernel-lan.ts';
import { answeredPings, kernelGuestSkipReason, KERNEL_IP } from './testing/kernel-guest.ts';
import { CLIENT, ECHO_SERVER, RESOLVE, SINK_SERVER, SOURCE_SERVER, UDP_CLIENT } from './testing/kernel-programs.ts';
import { impaired } from './testing/lossy-wire.ts';
import { noise } from './testing/tcp-host.ts';

const reason = kernelGuestSkipReason(['ping']);
const MEGABYTE = 1_000_000;
const node = (program: string, ...args: (string | number)[]): [string, ...string[]] => [process.execPath, '-e', program, ...args.map(String)];

/** Starts a server of kernel-programs.ts; resolves once it listens. */
async function serve(lan: KernelLan, program: string, ...args: (string | number)[]): Promise<ChildProcess> {
  const child = lan.guest.start(...node(program, ...args));
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

const eventually = async (what: string, done: () => boolean): Promise<void> => {
  const end = Date.now() + 20_000;
  while (!done()) {
    if (Date.now() > end) throw new Error(`Still not so after 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

describe.skipIf(reason !== null)(`with the Linux kernel as guest${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let lan: KernelLan;
  let hostServer: ReturnType<typeof createServer>;
  let hostPort: number;

  beforeAll(async () => {
    hostServer = createServer((request, response) => response.end(`hello from ${request.headers.host ?? ''}`));
    await new Promise<void>((resolve) => hostServer.listen(0, '127.0.0.1', resolve));
    hostPort = (hostServer.address() as AddressInfo).port;
    lan = await createKernelLan({ outbound: [`host:${hostPort}`, 'udp:host'] });
    await Promise.all([
      serve(lan, ECHO_SERVER, 7),
      serve(lan, SINK_SERVER, 9),
      serve(lan, SOURCE_SERVER, 50, 50 * MEGABYTE, 5),
      serve(lan, SOURCE_SERVER, 10, 10 * MEGABYTE, 1),
    ]);
  });

  afterAll(async () => {
    await lan.dispose();
    hostServer.close();
    expect(lan.gateway.stats()['internal-errors']).toBe(undefined);
  });

  it('the kernel finds the gateway by ARP and pings it without loss, small and in fragments (GW1, GW7)', async () => {
    const small = await lan.guest.run('ping', '-c', '51', '-i', '0.01', GATEWAY_IP);
    expect(answeredPings(small.stdout).slice(0, 50)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(small.stdout).not.toContain('DUP!');
    const large = await lan.guest.run('ping', '-c', '4', '-i', '0.2', '-s', '20000', GATEWAY_IP);
    expect(answeredPings(large.stdout).slice(0, 3)).toEqual([1, 2, 3]);
    const neighbours = await lan.guest.run('ip', 'neigh');
    expect(neighbours.stdout).toContain(`${GATEWAY_IP} dev eth0 lladdr ${GATEWAY_MAC}`);
  });

  it('the kernel answers every beat of the ping (GW8)', async () => {
    const samples: PingSample[] = [];
    const ping = lan.gateway.startPing('kernel', 10, (sample) => void samples.push(sample));
    await eventually('50 samples', () => samples.length >= 50);
    ping.dispose();
    expect(samples.map((sample) => sample.seq)).toEqual(samples.map((_, index) => index));
    expect(samples.every((sample) => sample.rttMs !== null)).toBe(true);
  });

  it('50 MB come out of the guest and 50 MB go in, bit by bit (GW40)', async () => {
    const socket = await lan.dial(50);
    expect(await collect(socket)).toEqual({ bytes: 50 * MEGABYTE, sha256: sha256(noise(5, 50 * MEGABYTE)) });
    socket.destroy();
    const upload = await lan.dial(9);
    upload.end(noise(6, 50 * MEGABYTE));
    expect(await answerOf(upload)).toBe(`${50 * MEGABYTE} ${sha256(noise(6, 50 * MEGABYTE))}`);
  });

  for (const percent of [1, 5]) {
    it(`10 MB each way survive ${percent} % of frames lost, doubled and reordered (GW24)`, async () => {
      lan.impair({ ...impaired(percent / 100), delayMs: 0, reorderMs: 2 });
      try {
        const download = await lan.dial(10);
        const upload = await lan.dial(9);
        upload.end(noise(7, 10 * MEGABYTE));
        const [came, went] = await Promise.all([collect(download), answerOf(upload)]);
        expect(came).toEqual({ bytes: 10 * MEGABYTE, sha256: sha256(noise(1, 10 * MEGABYTE)) });
        expect(went).toBe(`${10 * MEGABYTE} ${sha256(noise(7, 10 * MEGABYTE))}`);
        download.destroy();
      } finally {
        lan.impair(null);
      }
    });
  }

  it('a transfer each way goes on after the guest stood still for 1.5 s, without a reset and with few repeats (GW26)', async () => {
    const upload = await lan.dial(9);
    const download = await lan.dial(10);
    const came = collect(download);
    upload.write(noise(8, 2 * MEGABYTE));
    await eventually('a first part', () => download.bytesRead > MEGABYTE);
    const repeated = lan.gateway.stats()['tcp-retransmitted'] ?? 0;
    const release = lan.hold();
    upload.end(noise(9, 2 * MEGABYTE));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    release();
    expect(await answerOf(upload)).toBe(`${4 * MEGABYTE} ${sha256(Buffer.concat([noise(8, 2 * MEGABYTE), noise(9, 2 * MEGABYTE)]))}`);
    expect((await came).sha256).toBe(sha256(noise(1, 10 * MEGABYTE)));
    expect((lan.gateway.stats()['tcp-retransmitted'] ?? 0) - repeated).toBeLessThan(40);
    download.destroy();
  });

  it('a closed port of the guest resets the client at once (GW41)', async () => {
    const socket = await lan.dial(4444);
    expect(await ending(socket)).toBe('ECONNRESET');
  });

  it('half a close passes through, and the answer still comes (GW42)', async () => {
    const socket = await lan.dial(7);
    socket.end('what I said');
    expect(await answerOf(socket)).toBe('what I said');
  });

  it('500 connections are open at once, and each carries its own bytes (GW46)', async () => {
    const sockets = await Promise.all(Array.from({ length: 500 }, () => lan.dial(7)));
    const answers = sockets.map((socket) => collect(socket));
    for (const [index, socket] of sockets.entries()) socket.write(noise(index, 3000));
    await eventually('all echoed', () => sockets.every((socket) => socket.bytesRead === 3000));
    expect(lan.gateway.stats()['tcp-open']).toBeGreaterThanOrEqual(500);
    for (const socket of sockets) socket.end();
    for (const [index, answer] of (await Promise.all(answers)).entries()) expect(answer.sha256).toBe(sha256(noise(index, 3000)));
    await eventually('all closed', () => lan.gateway.stats()['tcp-open'] === 0);
  });

  it('the guest reaches a server of the host machine that a rule allows, by name, and nothing else (GW17, GW50, GW53)', async () => {
    expect((await lan.guest.run(...node(RESOLVE, GATEWAY_IP, 'host.tabmotion.internal'))).stdout).toBe(GATEWAY_IP);
    expect((await lan.guest.run(...node(RESOLVE, GATEWAY_IP, 'kernel'))).stdout).toBe(KERNEL_IP);
    expect((await lan.guest.run(...node(RESOLVE, GATEWAY_IP, 'nobody'))).stdout).toBe('ENOTFOUND');
    const page = await lan.guest.run(...node(CLIENT, GATEWAY_IP, hostPort, 'GET / HTTP/1.0\r\nhost: me\r\n\r\n'));
    expect(page.stdout).toContain('hello from me');
    expect((await lan.guest.run(...node(CLIENT, GATEWAY_IP, hostPort === 1 ? 2 : 1, ''))).stdout).toBe('ECONNREFUSED');
    expect((await lan.guest.run(...node(CLIENT, '192.0.2.1', 80, ''))).stdout).toBe('ECONNREFUSED');
    expect((await lan.guest.run(...node(UDP_CLIENT, '192.0.2.1', 53, 'x'))).stdout).toMatch(/EHOSTUNREACH|ECONNREFUSED|EACCES/);
    expect(lan.gateway.stats()['outbound-not-allowed']).toBe(2);
  });

  it('UDP goes out and its answer comes back, in fragments too (GW11, GW52)', async () => {
    const server = createSocket('udp4', (data, from) => server.send(Buffer.concat([Buffer.from('got '), data]), from.port, from.address));
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
    const text = 'y'.repeat(6000);
    expect((await lan.guest.run(...node(UDP_CLIENT, GATEWAY_IP, server.address().port, text))).stdout).toBe(`got ${text}`);
    server.close();
  });
});

describe.skipIf(reason !== null)(`with the Linux kernel as guest and outbound off${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  it('TCP is refused at once, UDP answered as prohibited, and outside names refused, each with its reason (GW16, GW50)', async () => {
    const lan = await createKernelLan();
    try {
      expect((await lan.guest.run(...node(CLIENT, '192.0.2.1', 80, ''))).stdout).toBe('ECONNREFUSED');
      expect((await lan.guest.run(...node(UDP_CLIENT, '192.0.2.1', 53, 'x'))).stdout).toMatch(/EHOSTUNREACH|ECONNREFUSED|EACCES/);
      expect((await lan.guest.run(...node(RESOLVE, GATEWAY_IP, 'example.org'))).stdout).toBe('EREFUSED');
      expect(lan.gateway.stats()).toMatchObject({ 'outbound-off': 2, 'dns-refused': 1 });
    } finally {
      await lan.dispose();
    }
  });
});

const dhcpReason = reason ?? kernelGuestSkipReason(['busybox']);
describe.skipIf(dhcpReason !== null)(`with busybox as DHCP client${dhcpReason === null ? '' : ` (skipped: ${dhcpReason})`}`, () => {
  it('the guest gets the address leased to its MAC (GW13)', async () => {
    const lan = await createKernelLan({}, false);
    try {
      const client = await lan.guest.run('busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '2', '-s', '/bin/true');
      expect(client.stdout + client.stderr).toContain(`lease of ${KERNEL_IP} obtained from ${GATEWAY_IP}`);
      expect(lan.gateway.stats()['dhcp-answered']).toBe(2);
    } finally {
      await lan.dispose();
    }
  });
});

/** Everything that arrives, as text. */
async function answerOf(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (data: Buffer) => void parts.push(data));
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('end', resolve);
  });
  return Buffer.concat(parts).toString();
}
