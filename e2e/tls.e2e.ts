/** What makes the connection private: our own TLS, or a proxy in front. Over plain http, page and terminal say that it is not private. */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, BrowserContext, Page } from '@playwright/test';
import { createNamespace, namespaceObstacle } from './harness/network-namespace.ts';
import { pollFor } from './harness/poll-for.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

const run = promisify(execFile);
const PLAIN_WORDS = 'keys and frames can be read on this network';

interface Certificate {
  readonly folder: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
}

/** A self-signed certificate for localhost, valid for a day. */
async function selfSigned(): Promise<Certificate> {
  const folder = await mkdtemp(join(tmpdir(), 'tabmotion-tls-'));
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '1',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost',
    '-keyout',
    keyFile,
    '-out',
    certFile,
  ]);
  return { folder, certFile, keyFile, cert: await readFile(certFile) };
}

/** Asks with the certificate as the only one that is trusted. */
function getTrusted(url: string, cert: Buffer): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, { ca: cert, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    }).on('error', reject);
  });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const sockets: string[] = [];
const watchSockets = (page: Page): Promise<void> => {
  page.on('websocket', (socket) => void sockets.push(socket.url()));
  return Promise.resolve();
};

/** A context that accepts an untrusted certificate, like a person who presses "proceed". */
async function trusting(browser: Browser): Promise<BrowserContext> {
  sockets.length = 0;
  return browser.newContext({ ignoreHTTPSErrors: true });
}

test('--tls serves page, API and WebSockets over TLS alone, and a PC starts and moves there', async ({ browser, openHost }) => {
  const certificate = await selfSigned();
  const server = await startServer({ args: ['--tls', certificate.certFile, certificate.keyFile] });
  const context = await trusting(browser);
  try {
    expect(server.address).toMatch(/^https:\/\/localhost:\d+\/#/);
    const health = await getTrusted(`${server.origin}/healthz`, certificate.cert);
    expect([health.status, health.headers['strict-transport-security']]).toEqual([200, 'max-age=86400']);
    await expect(fetch(`http://localhost:${server.port}/healthz`)).rejects.toThrow();

    const a = await openHost({ server, context, label: 'tab A', before: watchSockets });
    const vm = await a.runningVm();
    await a.waitForPrompt(vm.id);
    expect(await a.page.evaluate(() => window.isSecureContext)).toBe(true);
    await expect(a.page.getByText(PLAIN_WORDS)).toBeHidden();
    const b = await openHost({ server, context, label: 'tab B', before: watchSockets });
    await b.waitForGuest();
    expect(await a.migrate(vm.id, await b.id())).toMatchObject({ outcome: 'completed' });
    expect((await b.run(vm.id, 'echo arrived')).output).toBe('arrived');
    expect(sockets.length).toBeGreaterThan(0);
    expect(sockets.filter((url) => !url.startsWith(`wss://localhost:${server.port}/`))).toEqual([]);
    expect(a.errors).toEqual([]);
  } finally {
    await context.close();
    await server.stop();
    await rm(certificate.folder, { recursive: true });
  }
});

test('the reverse-proxy recipe of docs/reverse-proxy.md works as it is written: a PC moves through nginx, all of it over the relay', async ({
  browser,
  openHost,
  server,
}) => {
  const missing = spawnSync('nginx', ['-v']).error !== undefined;
  test.skip(missing, 'needs nginx (Debian: nginx-light)');
  const certificate = await selfSigned();
  const port = await freePort();
  const proxy = await startNginx(certificate, port, server.port);
  const context = await trusting(browser);
  // No direct way between the tabs: the lanes of the migration go through the proxy as well.
  const before = async (page: Page): Promise<void> => {
    await watchSockets(page);
    await page.addInitScript(() => {
      for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'BroadcastChannel']) Reflect.deleteProperty(window, name);
    });
  };
  try {
    const origin = `https://localhost:${port}`;
    await pollFor('nginx to answer', async () => (await getTrusted(`${origin}/healthz`, certificate.cert)).status === 200);
    const a = await openHost({ server: { origin }, context, label: 'tab A', before });
    const vm = await a.runningVm();
    await a.waitForPrompt(vm.id);
    await expect(a.page.getByText(PLAIN_WORDS)).toBeHidden();
    const b = await openHost({ server: { origin }, context, label: 'tab B', before });
    await b.waitForGuest();
    expect(await a.migrate(vm.id, await b.id(), { verify: true, maxPauseMs: 5000 })).toMatchObject({ outcome: 'completed', link: 'relay', verified: true });
    expect((await b.run(vm.id, 'echo arrived')).output).toBe('arrived');
    expect(sockets.length).toBeGreaterThan(0);
    expect(sockets.filter((url) => !url.startsWith(`wss://localhost:${port}/`))).toEqual([]);
    // The invitation is the proxy's address.
    expect(await b.page.getByTestId('invitation').first().getAttribute('data-address')).toContain(origin);
    expect(a.errors).toEqual([]);
  } finally {
    await context.close();
    proxy.process.kill('SIGTERM');
    await proxy.ended;
    await rm(certificate.folder, { recursive: true });
  }
});

test('over plain http from a network, page and terminal say that keys and frames can be read there', async ({ openHost }) => {
  const obstacle = await namespaceObstacle();
  test.skip(obstacle !== null, `needs an address of this machine that is not loopback: ${obstacle ?? ''}`);
  const elsewhere = await createNamespace(10);
  const server = await startServer({ args: ['--host', elsewhere.serverAddress] });
  try {
    expect(server.output()).toContain('whoever can listen on that network can read the keys and everything the VMs send');
    const tab = await openHost({ server, query: { autostart: '0' } });
    await expect(tab.page.getByText(PLAIN_WORDS)).toBeVisible();
  } finally {
    await server.stop();
    await elsewhere.dispose();
  }
});

/** Starts nginx with the recipe's text, with the test's names and paths filled in. */
async function startNginx(
  { folder, certFile, keyFile }: Certificate,
  port: number,
  upstream: number,
): Promise<{ process: ChildProcess; ended: Promise<unknown> }> {
  const document = await readFile(new URL('../docs/reverse-proxy.md', import.meta.url), 'utf8');
  const recipe = /```nginx\n([\s\S]*?)```/.exec(document)?.[1] ?? '';
  const replaced = [
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['tabmotion.example', 'localhost'],
    ['/etc/ssl/certs/tabmotion.pem', certFile],
    ['/etc/ssl/private/tabmotion.key', keyFile],
    ['http://127.0.0.1:8686', `http://127.0.0.1:${upstream}`],
  ].reduce((text, [from = '', to = '']) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  }, recipe);
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  await mkdir(join(folder, 'tmp'));
  // Its workers may run as another user than the test.
  for (const place of [folder, join(folder, 'tmp')]) await chmod(place, 0o777);
  await writeFile(
    file,
    `
    daemon off; pid ${folder}/nginx.pid; error_log stderr warn;
    events {}
    http {
      access_log off;
      ${temporary.map((name) => `${name}_temp_path ${folder}/tmp/${name};`).join('\n')}
      ${replaced}
    }`,
  );
  const child = spawn('nginx', ['-p', folder, '-c', file], { stdio: ['ignore', 'ignore', 'inherit'] });
  return { process: child, ended: new Promise((resolve) => child.once('exit', resolve)) };
}
