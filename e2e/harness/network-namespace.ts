/**
 * A second computer in a network of its own: a Linux network namespace joined to this machine by a virtual cable. What
 * runs in it reaches our server only at an address that is not loopback, as a visitor's laptop would.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser } from '@playwright/test';
import { findChromium } from './find-chromium.ts';
import { CHROMIUM_FLAGS } from './chromium-flags.ts';

const run = promisify(execFile);

export interface NetworkNamespace {
  readonly name: string;
  /** This machine's end of the cable: give it to the server as --host. */
  readonly serverAddress: string;
  /** The other end. */
  readonly address: string;
  /** A Chromium that lives in the namespace. */
  launchChromium(): Promise<Browser>;
  /** The command line that runs a program in the namespace. */
  wrap(command: readonly string[]): string[];
  dispose(): Promise<void>;
}

/** Why no network namespace can be made here, or null if one can. */
export async function namespaceObstacle(): Promise<string | null> {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux';
  const name = `tm-probe-${randomBytes(3).toString('hex')}`;
  try {
    await run('ip', ['netns', 'add', name]);
    await run('ip', ['netns', 'del', name]);
    return null;
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return missing
      ? 'the program `ip` is not installed (Debian: iproute2)'
      : 'this user may not make a network namespace (run as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN)';
  }
}

/** Namespaces that the tests of one worker make. */
const PER_WORKER = 16;

/** Makes the namespace with its own /30 for the cable. `index` (0..15) distinguishes those of one Playwright worker; there are four workers at most. */
export async function createNamespace(index: number): Promise<NetworkNamespace> {
  const place = Number(process.env['TEST_PARALLEL_INDEX'] ?? '0') * PER_WORKER + index;
  const tag = randomBytes(3).toString('hex');
  const name = `tm-${tag}`;
  const cable = `tm${tag}`;
  const serverAddress = `10.213.77.${place * 4 + 1}`;
  const address = `10.213.77.${place * 4 + 2}`;
  const folder = await mkdtemp(join(tmpdir(), 'tabmotion-namespace-'));
  const dispose = async (): Promise<void> => {
    // The cable is removed with either of its ends, but not before the last process in the namespace has ended.
    await run('ip', ['link', 'del', cable]).catch(() => undefined);
    await run('ip', ['netns', 'del', name]).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await run('ip', ['netns', 'add', name]);
    await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
    await run('ip', ['address', 'add', `${serverAddress}/30`, 'dev', cable]);
    await run('ip', ['link', 'set', cable, 'up']);
    await run('ip', ['-n', name, 'address', 'add', `${address}/30`, 'dev', 'eth0']);
    await run('ip', ['-n', name, 'link', 'set', 'eth0', 'up']);
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    await run('ip', ['-n', name, 'route', 'add', 'default', 'via', serverAddress]);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    name,
    serverAddress,
    address,
    wrap: (command) => ['ip', 'netns', 'exec', name, ...command],
    launchChromium: () => launchChromiumIn(name, folder),
    dispose,
  };
}

/** Playwright starts one program file; this one, written to `folder`, enters the namespace and becomes the browser. */
export async function launchChromiumIn(namespace: string, folder: string): Promise<Browser> {
  const program = join(folder, `chromium-${namespace}`);
  await writeFile(program, `#!/bin/sh\nexec ip netns exec ${namespace} ${findChromium()} "$@"\n`);
  await chmod(program, 0o755);
  return chromium.launch({ executablePath: program, args: [...CHROMIUM_FLAGS] });
}

interface Subnet {
  /** The router's address in it. */
  readonly routerAddress: string;
  launchChromium(): Promise<Browser>;
}

/** Two subnets, each with one computer, joined by a router on which our server runs: nothing else is there. */
export interface TwoSubnets {
  readonly subnets: readonly [Subnet, Subnet];
  /** The command line that runs a program on the router. */
  readonly onRouter: (command: readonly string[]) => string[];
  readonly dispose: () => Promise<void>;
}

export async function createTwoSubnets(): Promise<TwoSubnets> {
  const tag = randomBytes(3).toString('hex');
  const router = `tm-${tag}-r`;
  const folder = await mkdtemp(join(tmpdir(), 'tabmotion-subnets-'));
  const names = [`tm-${tag}-0`, `tm-${tag}-1`] as const;
  const dispose = async (): Promise<void> => {
    for (const name of [...names, router]) await run('ip', ['netns', 'del', name]).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  };
  const addSubnet = async (name: string, index: number): Promise<Subnet> => {
    const routerAddress = `10.213.${78 + index}.1`;
    await run('ip', ['netns', 'add', name]);
    await run('ip', ['-n', router, 'link', 'add', `eth${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
    await run('ip', ['-n', router, 'address', 'add', `${routerAddress}/24`, 'dev', `eth${index}`]);
    await run('ip', ['-n', router, 'link', 'set', `eth${index}`, 'up']);
    await run('ip', ['-n', name, 'address', 'add', `10.213.${78 + index}.2/24`, 'dev', 'eth0']);
    await run('ip', ['-n', name, 'link', 'set', 'eth0', 'up']);
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    await run('ip', ['-n', name, 'route', 'add', 'default', 'via', routerAddress]);
    return { routerAddress, launchChromium: () => launchChromiumIn(name, folder) };
  };
  try {
    await run('ip', ['netns', 'add', router]);
    await run('ip', ['-n', router, 'link', 'set', 'lo', 'up']);
    await run('ip', ['netns', 'exec', router, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
    const subnets = [await addSubnet(names[0], 0), await addSubnet(names[1], 1)] as const;
    return { subnets, onRouter: (command) => ['ip', 'netns', 'exec', router, ...command], dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
