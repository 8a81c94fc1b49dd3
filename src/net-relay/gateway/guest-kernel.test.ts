/**
 * Our TCP against the real guest's Linux kernel, in an emulated PC that runs in this process (B4, guest side). One guest
 * for all tests, in order; what goes through the relay and a browser is tested in e2e.
 */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GUEST_LIMIT_MS, restoredGuest, type RestoredGuest } from '../../../guest/testing/restored-guest.ts';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import { disposable } from '../../shared/disposable.ts';
import type { MacAddress } from '../../shared/ids.ts';
import { InboundQueue, type PortClientDrop } from '../client/inbound-queue.ts';
import { Counters } from '../../shared/counters.ts';
import { GATEWAY_IP, GATEWAY_MAC, LAN_NETMASK } from '../lan/lan.ts';
import { systemClock } from '../../shared/system-clock.ts';
import { createGateway, type Gateway } from './gateway.ts';
import { collect, ending, sha256 } from './testing/kernel-lan.ts';
import { impaired, LossyWire, type Impairment } from './testing/lossy-wire.ts';
import { watchRefusals } from './testing/closed-ports.ts';
import { noise } from './testing/tcp-host.ts';

const MAC = '02:5a:00:00:00:2b' as MacAddress;
const IP = '10.86.0.2';
const DIRECT: Impairment = { drop: 0, duplicate: 0, reorder: 0, delayMs: 0, reorderMs: 0 };
const MEBIBYTE = 1024 * 1024;
const TEN_MIB = pattern(10, 7);
/** Ports of the guest's servers. */
const ECHO = 7;
const SINK = 9;
const THREE = 3;
const TEN = 10;
const FIFTY = 50;
const CONNECTIONS = 500;
const AT_A_TIME = 5;

describe('our TCP and the kernel of the real guest', { timeout: GUEST_LIMIT_MS }, () => {
  const random = new SeededRandom(20_260_303);
  const drops = new Counters<PortClientDrop>();
  let guest: RestoredGuest;
  let gateway: Gateway;
  let queue: InboundQueue;
  let wires: readonly LossyWire[];

  beforeAll(async () => {
    guest = await restoredGuest();
    const { network } = guest.machine;
    network.setMac(MAC);
    queue = new InboundQueue(network, drops);
    const toGuest = new LossyWire(systemClock, random, DIRECT, (frame) => {
      queue.push(frame);
      queue.pump();
    });
    const toGateway = new LossyWire(systemClock, random, DIRECT, (frame) => gateway.receive(frame));
    wires = [toGuest, toGateway];
    gateway = createGateway({
      mac: GATEWAY_MAC,
      ip: GATEWAY_IP,
      netmask: LAN_NETMASK,
      clock: systemClock,
      leases: { all: () => [{ vmId: 'vm', name: 'pc', mac: MAC, ip: IP }], onChange: () => disposable(() => undefined) },
      send: (frame) => toGuest.send(frame),
    });
    // The emulator may use its buffer again.
    network.onFrame((frame) => toGateway.send(frame.slice()));
    await guest.begin();
    await guest.agent.ask(
      `identity mac=${MAC} hostname=pc ip=${IP}/24 gateway=${GATEWAY_IP} dns=${GATEWAY_IP} time=1763840000000 seed=${'cd'.repeat(64)} password=x`,
      'ok identity',
      GUEST_LIMIT_MS,
    );
    await guest.agent.printed('event services', GUEST_LIMIT_MS);
    await guest.shell('pattern 10 7 > /tmp/ten');
    const servers = [
      `${ECHO} cat`,
      `${SINK} sha256sum`,
      `${THREE} head -c ${3 * MEBIBYTE} /tmp/ten`,
      `${TEN} cat /tmp/ten`,
      `${FIFTY} cat${' /tmp/ten'.repeat(5)}`,
    ];
    await guest.shell(`for one in ${servers.map((one) => `"${one}"`).join(' ')}; do set -- $one; port=$1; shift; nc -ll -p $port -e "$@" & done`);
    await guest.shell(
      `for port in ${[ECHO, SINK, THREE, TEN, FIFTY].join(' ')}; do until netstat -ltn | grep -q ":$port "; do sleep 0.1; done; done 2>/dev/null`,
    );
  }, GUEST_LIMIT_MS);

  afterAll(async () => {
    await gateway.dispose();
    queue.dispose();
    guest.dispose();
  });

  const impair = (impairment: Impairment): void => {
    for (const wire of wires) wire.impairment = impairment;
  };

  const forwards = new Map<number, number>();
  async function dial(guestPort: number): Promise<Socket> {
    const hostPort = forwards.get(guestPort) ?? (await gateway.addForward({ vmId: 'vm', hostPort: 0, guestPort })).hostPort;
    forwards.set(guestPort, hostPort);
    const socket = connect({ host: '127.0.0.1', port: hostPort, allowHalfOpen: true });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return socket;
  }

  async function expectDownload(port: number, content: Uint8Array): Promise<void> {
    const socket = await dial(port);
    expect(await collect(socket)).toEqual({ bytes: content.length, sha256: sha256(content) });
    socket.destroy();
  }

  /** The guest answers with the digest of what it received once the client has ended its half: a half close, each time. */
  async function expectUpload(content: Uint8Array): Promise<void> {
    const socket = await dial(SINK);
    socket.end(content);
    expect(await answerOf(socket)).toBe(`${sha256(content)}  -\n`);
  }

  it('50 MB go each way, bit by bit (B4)', async () => {
    await expectDownload(FIFTY, new Uint8Array(Buffer.concat(Array.from({ length: 5 }, () => TEN_MIB))));
    await expectUpload(noise(6, 50 * MEBIBYTE));
  });

  // With more loss most of the time is spent waiting, and fewer bytes meet as much of it.
  for (const { percent, port, content } of [
    { percent: 1, port: TEN, content: TEN_MIB },
    { percent: 5, port: THREE, content: TEN_MIB.subarray(0, 3 * MEBIBYTE) },
  ]) {
    it(`${port} MB each way survive ${percent} % of frames lost, doubled and reordered (B4, GW24)`, async () => {
      const before = wires.map(({ counts }) => ({ ...counts }));
      impair({ ...impaired(percent / 100), delayMs: 0, reorderMs: 2 });
      try {
        await expectDownload(port, content);
        await expectUpload(noise(7, content.length));
      } finally {
        impair(DIRECT);
      }
      for (const [index, { counts }] of wires.entries()) {
        for (const name of ['dropped', 'duplicated', 'reordered'] as const) expect(counts[name] - (before[index]?.[name] ?? 0)).toBeGreaterThan(0);
      }
    });
  }

  it('a closed port of the guest resets the client at once (B4, GW41)', async () => {
    const seen = watchRefusals(wires, 4444);
    const socket = await dial(4444);
    expect(await ending(socket)).toBe('ECONNRESET');
    expect(seen.asked).toBeGreaterThan(0);
    await expect.poll(() => seen.refused).toBe(seen.asked);
  });

  it('half a close passes, and the answer still comes (B4, GW42)', async () => {
    const socket = await dial(ECHO);
    socket.end('what I said');
    expect(await answerOf(socket)).toBe('what I said');
  });

  it('500 connections are open at once, and each carries its own bytes (B4, GW46)', async () => {
    const sockets: Socket[] = [];
    // The guest's echo server has a short accept queue, so the clients connect a few at a time; then all stay open.
    while (sockets.length < CONNECTIONS) {
      const few = await Promise.all(Array.from({ length: AT_A_TIME }, () => dial(ECHO)));
      await Promise.all(
        few.map(async (socket, index) => {
          socket.write(Buffer.from([index]));
          expect([...(await firstData(socket))]).toEqual([index]);
        }),
      );
      sockets.push(...few);
    }
    expect(gateway.stats()['tcp-open']).toBeGreaterThanOrEqual(CONNECTIONS);
    const answers = sockets.map((socket) => collect(socket));
    for (const [index, socket] of sockets.entries()) {
      socket.resume();
      socket.end(noise(index, 3000));
    }
    for (const [index, answer] of (await Promise.all(answers)).entries()) expect(answer.sha256).toBe(sha256(noise(index, 3000)));
  });
});

function firstData(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('data', (data: Buffer) => {
      socket.removeListener('error', reject);
      socket.pause();
      resolve(data);
    });
  });
}

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

/** What the guest's `pattern MIB SEED` prints. */
function pattern(mebibytes: number, seed: number): Uint8Array {
  const words = new Uint32Array(mebibytes * 262_144);
  let state = seed;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    words[at] = state;
  }
  return new Uint8Array(words.buffer);
}
