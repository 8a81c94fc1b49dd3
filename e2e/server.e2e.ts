import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from './harness/test.ts';
import { startServer } from './harness/server-process.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Runs the server's command line to its end. */
function runServer(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'src/server.ts', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, output: stdout + stderr };
}

test('A1: the server prints one whole address, answers, and serves the page and the guest', async ({ server }) => {
  expect(server.address).toMatch(/^http:\/\/localhost:\d+\/#[A-Za-z0-9_-]{16,64}$/);
  expect(server.output().match(/^TabMotion is ready: /gm)).toHaveLength(1);
  expect(await (await fetch(`${server.origin}/healthz`)).json()).toMatchObject({ status: 'ok' });

  const page = await fetch(server.origin);
  expect(page.headers.get('content-type')).toContain('text/html');
  const manifest = (await (await fetch(`${server.origin}/guest/manifest.json`)).json()) as { disk: { name: string; sha256: string; bytes: number } };
  const disk = await fetch(`${server.origin}/guest/${manifest.disk.sha256}/${manifest.disk.name}`, { headers: { Range: 'bytes=1080-1081' } });
  expect(disk.status).toBe(206);
  // The magic number of an ext2/3/4 superblock.
  expect(Buffer.from(await disk.arrayBuffer()).toString('hex')).toBe('53ef');
  expect(await (await fetch(`${server.origin}/guest/SOURCES`)).text()).toContain('busybox');
});

test('the default room answers to the key in the printed address, and to no other', async ({ server }) => {
  const key = new URL(server.address).hash.slice(1);
  const ask = (bearer: string): Promise<Response> => fetch(`${server.origin}/api/rooms/default`, { headers: { Authorization: `Bearer ${bearer}` } });
  expect((await ask(key)).status).toBe(200);
  expect((await ask('x'.repeat(24))).status).toBe(403);
  expect((await fetch(`${server.origin}/api/rooms/default`)).status).toBe(401);
});

test('the server ends with status 0 on SIGTERM, frees its port, and comes back with the same key', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tabmotion-keys-'));
  const first = await startServer({ dataDir });
  expect(await first.stop()).toBe(0);
  const probe = createServer().listen(first.port, '127.0.0.1');
  await once(probe, 'listening');
  await new Promise((resolve) => probe.close(resolve));

  const second = await startServer({ dataDir, port: first.port });
  expect(second.address).toBe(first.address);
  // The guest and the page were there already.
  expect(second.output()).not.toContain('Building');
  expect(await second.stop()).toBe(0);
  await rm(dataDir, { recursive: true });
});

test('a taken port, an unknown option and a missing certificate are refused with the way out', ({ server }) => {
  const taken = runServer('--port', String(server.port));
  expect(taken.output).toContain(`Port ${server.port} is taken by another program`);
  expect(taken.output).toContain('npm start -- --port');
  expect(taken.status).not.toBe(0);

  const unknown = runServer('--prot', '1');
  expect(unknown.output).toContain('There is no option "--prot"');
  expect(unknown.status).not.toBe(0);

  const certificate = runServer('--port', '0', '--tls', 'nothing.pem', 'nothing.pem');
  expect(certificate.output).toContain('nothing.pem cannot be read');
  expect(certificate.status).not.toBe(0);

  expect(runServer('--help')).toMatchObject({ status: 0 });
});
