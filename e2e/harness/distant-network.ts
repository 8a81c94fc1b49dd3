/**
 * Three computers that are far apart: the server's and two visitors', each a network namespace with a TUN device, joined
 * by a router of our own that delays and loses packets (distance-router.c).
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser } from '@playwright/test';
import { launchChromiumIn, namespaceObstacle } from './network-namespace.ts';
import { pollFor } from './poll-for.ts';

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL('distance-router.c', import.meta.url));
/** Smaller than Ethernet's, as on a path through tunnels. */
const MTU = 1400;

export interface Way {
  /** Between any two of the three. */
  readonly roundTripMs: number;
  /** Of the packets in each direction. */
  readonly lossPercent: number;
}

export interface DistantNetwork {
  readonly serverAddress: string;
  /** The command line that runs a program on the server's computer. */
  readonly onServer: (command: readonly string[]) => string[];
  /** A Chromium on one of the two visitors' computers. */
  launchChromium(visitor: 0 | 1): Promise<Browser>;
  /** Applies from now on. At first all three computers are near. */
  setWay(way: Way): void;
  dispose(): Promise<void>;
}

/** Why there can be no such network here, or null if there can. */
export async function distantNetworkObstacle(): Promise<string | null> {
  const obstacle = await namespaceObstacle();
  if (obstacle !== null) return obstacle;
  try {
    await access('/dev/net/tun');
    await run('gcc', ['--version']);
    return null;
  } catch {
    return 'there is no /dev/net/tun or no gcc';
  }
}

export async function createDistantNetwork(): Promise<DistantNetwork> {
  const tag = randomBytes(3).toString('hex');
  const folder = await mkdtemp(join(tmpdir(), 'tabmotion-distance-'));
  const computers = [1, 2, 3].map((number) => ({ namespace: `tm-${tag}-${number}`, device: `tm${tag}${number}`, address: `10.213.90.${number}` }));
  let router: ChildProcess | null = null;
  const dispose = async (): Promise<void> => {
    if (router !== null && router.exitCode === null) {
      const gone = once(router, 'exit');
      router.stdin?.end();
      await gone;
    }
    for (const { namespace } of computers) await run('ip', ['netns', 'del', namespace]).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const program = join(folder, 'distance-router');
    await run('gcc', ['-O2', '-o', program, SOURCE]);
    router = spawn(
      program,
      computers.map(({ device, address }) => `${device}=${address}`),
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    let printed = '';
    router.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    await pollFor('the router to be up', () => printed.startsWith('up'));
    for (const { namespace, device, address } of computers) {
      await run('ip', ['netns', 'add', namespace]);
      await run('ip', ['link', 'set', device, 'netns', namespace]);
      await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
      await run('ip', ['-n', namespace, 'address', 'add', `${address}/24`, 'dev', device]);
      await run('ip', ['-n', namespace, 'link', 'set', device, 'mtu', String(MTU), 'txqueuelen', '5000', 'up']);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const [server, ...visitors] = computers;
  const stdin = router.stdin;
  return {
    serverAddress: server?.address ?? '',
    onServer: (command) => ['ip', 'netns', 'exec', server?.namespace ?? '', ...command],
    launchChromium: (visitor) => launchChromiumIn(visitors[visitor]?.namespace ?? '', folder),
    setWay: ({ roundTripMs, lossPercent }) => void stdin?.write(`${roundTripMs / 2} ${lossPercent}\n`),
    dispose,
  };
}
