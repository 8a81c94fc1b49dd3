/** A network that never notices: what goes on between the outside and the guest over many migrations (B1, B2, B3). */
import { spawn, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tab } from '../src/host/scripting-interface.ts';
import { answeredPings, kernelGuestSkipReason } from '../src/net-relay/gateway/testing/kernel-guest.ts';
import { FULL } from '../src/shared/testing/full.ts';
import { ALONE } from './harness/alone.ts';
import type { HostPage } from './harness/host-page.ts';
import { startLoad, startStrictRequests } from './harness/http-load.ts';
import { pollFor } from './harness/poll-for.ts';
import { roomWith } from './harness/room.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test, type OpenHostOptions } from './harness/test.ts';

const MIGRATIONS = Number(process.env['TABMOTION_LAN_MIGRATIONS'] ?? (FULL ? '10' : '4'));
/** B1. */
const PING_MIGRATIONS = Number(process.env['TABMOTION_LAN_MIGRATIONS'] ?? (FULL ? '50' : '10'));
const B1_LIMIT_MS = 900_000;
const SLOW_MS = 90_000;
const CONNECTIONS = 3;

type OpenHost = (options?: OpenHostOptions) => Promise<HostPage>;

/** Two tabs of the test's room, the VM in the first, its services up. */
async function twoTabs(openHost: OpenHost): Promise<{ a: HostPage; b: HostPage; vmId: string; port: (guestPort: number) => Promise<number> }> {
  const a = await openHost({ label: 'tab A' });
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  const b = await openHost({ label: 'tab B' });
  await b.waitForGuest();
  await a.waitForHosts(2);
  return {
    a,
    b,
    vmId,
    port: (guestPort) =>
      pollFor(`a forward to port ${guestPort}`, () =>
        a.page.evaluate(([vm, wanted]) => window.tabmotion.forwards(vm).find((forward) => forward.guestPort === wanted)?.hostPort ?? null, [
          vmId,
          guestPort,
        ] as const),
      ),
  };
}

/** Back and forth; `between` runs before the first and after each. */
async function migrateOften(tabs: readonly [HostPage, HostPage], vmId: string, between: (done: number) => Promise<void>, count = MIGRATIONS): Promise<void> {
  await between(0);
  for (let done = 1; done <= count; done++) {
    const [from, to] = done % 2 === 1 ? tabs : [tabs[1], tabs[0]];
    const report = await from.migrate(vmId, await to.id(), { maxPauseMs: 1000 });
    expect(report, `migration ${done}`).toMatchObject({ outcome: 'completed', to: await to.id() });
    await between(done);
  }
  expect((await tabs[0].vm(vmId))?.epoch).toBe(1 + count);
}

test('B2: one SSH session goes on over many migrations, and not a character is lost, doubled or out of turn', async ({ openHost }) => {
  test.slow();
  const { a, b, vmId, port } = await twoTabs(openHost);
  const password = await pollFor('the password', () =>
    a.page.evaluate((vm) => (window.tabmotion as Tab).view().vms.find((one) => one.id === vm)?.password ?? null, vmId),
  );
  const folder = await mkdtemp(join(tmpdir(), 'tabmotion-ssh-'));
  const askPass = join(folder, 'password');
  await writeFile(askPass, `#!/bin/sh\necho '${password}'\n`);
  await chmod(askPass, 0o700);
  const sshPort = await port(22);
  const greeting = `guest port 22 to answer`;
  await pollFor(
    greeting,
    () =>
      fetch(`http://127.0.0.1:${sshPort}/`).then(
        () => false,
        (error: unknown) => String((error as { cause?: { code?: string } }).cause?.code).startsWith('HPE_'),
      ),
    SLOW_MS,
  );
  // Counts by itself, and repeats what it receives: traffic in both directions, all the time.
  const remote = '(n=0; while :; do n=$((n+1)); echo "beat $n"; usleep 100000; done) & while read -r line; do echo "heard $line"; done; kill $!';
  const ssh = spawn(
    'ssh',
    [
      '-T',
      '-p',
      String(sshPort),
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      `UserKnownHostsFile=${join(folder, 'known')}`,
      '-o',
      'PreferredAuthentications=password',
      '-o',
      'LogLevel=ERROR',
      'root@127.0.0.1',
      remote,
    ],
    {
      env: { ...process.env, SSH_ASKPASS: askPass, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    },
  );
  let output = '';
  let complaints = '';
  ssh.stdout.on('data', (data: Buffer) => (output += data.toString()));
  ssh.stderr.on('data', (data: Buffer) => (complaints += data.toString()));
  const ended = new Promise<number | null>((resolve) => ssh.once('exit', resolve));
  const numbers = (word: string): number[] => [...output.matchAll(new RegExp(`^${word} (\\d+)$`, 'gm'))].map((match) => Number(match[1]));
  let said = 0;
  const talk = async (): Promise<void> => {
    // Some lines at once, and more than an MSS of them.
    for (let count = 0; count < 200; count++) ssh.stdin.write(`${++said}\n`);
    await pollFor(`the session to answer line ${said}; it complained: ${complaints}`, () => numbers('heard').at(-1) === said, SLOW_MS);
  };
  try {
    await pollFor('the session to begin', () => numbers('beat').length > 3, SLOW_MS);
    // Some lines are on their way while the VM moves.
    const typing = setInterval(() => ssh.stdin.write(`${++said}\n`), 25);
    await migrateOften([a, b], vmId, async () => {
      await talk();
      const beats = numbers('beat').length;
      await pollFor('the session to beat on', () => numbers('beat').length > beats + 3, SLOW_MS);
    }).finally(() => clearInterval(typing));
    await talk();
    ssh.stdin.end();
    expect(await ended).toBe(0);
    expect(numbers('heard')).toEqual(Array.from({ length: said }, (_, index) => index + 1));
    const beats = numbers('beat');
    expect(beats).toEqual(beats.map((_, index) => index + 1));
    expect(output.split('\n').filter((line) => line !== '' && !/^(beat|heard) \d+$/.test(line))).toEqual([]);
    expect(complaints).toBe('');
  } finally {
    ssh.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
});

test('B3: under a load of short HTTP requests through the forward, many migrations fail none', async ({ openHost, room, server }) => {
  test.slow();
  const { a, b, vmId, port } = await twoTabs(openHost);
  const url = `http://127.0.0.1:${await port(80)}/`;
  await pollFor('the guest to serve its page', async () => (await fetch(url)).ok, SLOW_MS);
  const refusedBefore = (await room.describe(server.origin)).gateway?.['forward-refused'] ?? 0;
  const load = startLoad(url, CONNECTIONS);
  const strict = startStrictRequests(url);
  await migrateOften([a, b], vmId, async () => {
    const answered = strict.answered();
    await pollFor('requests to be answered here', () => strict.answered() >= answered + 5, SLOW_MS);
  });
  expect(await strict.stop()).toEqual([]);
  const result = await load.stop();
  expect(result).toMatchObject({ errors: 0, timeouts: 0, non2xx: 0, mismatches: 0 });
  expect(result['2xx']).toBeGreaterThan(50);
  const { gateway } = await room.describe(server.origin);
  expect([gateway?.['forward-refused'] ?? 0, gateway?.['forward-too-many'] ?? 0, gateway?.['tcp-given-up'] ?? 0]).toEqual([refusedBefore, 0, 0]);
});

test(
  "B1: no ping is lost over many migrations, neither the gateway's at a beat of 10 ms nor those of the machine's own kernel",
  { tag: ALONE },
  async ({ openHost }) => {
    const obstacle = kernelGuestSkipReason(['ping']);
    test.skip(obstacle !== null, obstacle ?? '');
    test.setTimeout(B1_LIMIT_MS);
    const device = `tm${process.pid}b1`;
    const namespace = `tm${process.pid}b1`;
    const ip = (...args: string[]): void => {
      const done = spawnSync('ip', args, { encoding: 'utf8' });
      if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr}`);
    };
    ip('netns', 'add', namespace);
    const server = await startServer({ args: ['--tap', device, '--ping-ms', '10'] });
    const room = roomWith('default', new URL(server.address).hash.slice(1));
    try {
      const { a, b, vmId } = await twoTabs((options = {}) => openHost({ ...options, server, room }));
      const vm = await a.vm(vmId);
      // The device moves to a namespace where it does not conflict with another test's; socat keeps it open.
      await pollFor(`the device ${device}`, () => spawnSync('ip', ['link', 'show', device]).status === 0);
      ip('link', 'set', device, 'netns', namespace);
      ip('-n', namespace, 'addr', 'add', '10.86.0.254/24', 'dev', device);
      ip('-n', namespace, 'link', 'set', device, 'up');
      await b.page.evaluate((id) => {
        const store = window as unknown as { pings: [number, number | null][] };
        store.pings = [];
        window.tabmotion.on('ping', ({ vmId: of, seq, rttMs }) => {
          if (of === id) store.pings.push([seq, rttMs]);
        });
      }, vmId);
      const lateAnswers = async (): Promise<number> => (await room.describe(server.origin)).gateway?.['ping-late'] ?? 0;
      const lateBefore = await lateAnswers();
      const samples = (): Promise<[number, number | null][]> => b.page.evaluate(() => (window as unknown as { pings: [number, number | null][] }).pings);
      const ping = spawn('ip', ['netns', 'exec', namespace, 'ping', '-n', '-i', '0.01', vm?.ip ?? ''], { stdio: ['ignore', 'pipe', 'inherit'] });
      let output = '';
      ping.stdout.on('data', (data: Buffer) => (output += data.toString()));
      const ended = new Promise((resolve) => ping.once('exit', resolve));
      const answers = (): number[] => answeredPings(output);
      await pollFor('pings to be answered', () => answers().length > 20, SLOW_MS);
      await migrateOften(
        [a, b],
        vmId,
        async () => {
          const count = answers().length;
          await pollFor('pings to be answered here', () => answers().length > count + 20, SLOW_MS);
        },
        PING_MIGRATIONS,
      );
      // A ping that was lost is reported after 5 s.
      const last = (await samples()).at(-1)?.[0] ?? 0;
      await pollFor('the last results', async () => (await samples()).some(([seq, rttMs]) => seq > last + 550 && rttMs !== null), SLOW_MS);
      const lastSeen = answers().at(-1) ?? 0;
      ping.kill('SIGINT');
      await ended;

      const kernel = answers().filter((seq) => seq <= lastSeen);
      expect([...kernel].sort((one, other) => one - other)).toEqual(Array.from({ length: lastSeen }, (_, index) => index + 1));
      expect(output).not.toContain('DUP!');
      const told = await samples();
      // On a slow machine an answer may come after its limit of 5 s; then it is counted as late.
      const unanswered = told.filter(([seq, rttMs]) => seq <= last && rttMs === null).length;
      await pollFor(`late answers to ${unanswered} pings`, async () => (await lateAnswers()) - lateBefore >= unanswered, SLOW_MS);
      expect(new Set(told.map(([seq]) => seq)).size).toBe(told.length);
    } finally {
      await server.stop();
      spawnSync('ip', ['netns', 'del', namespace]);
    }
  },
);
