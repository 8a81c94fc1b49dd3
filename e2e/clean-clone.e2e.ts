/** A1: what a new user does, from the first command on. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, lstatSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HostPage } from './harness/host-page.ts';
import { pollFor } from './harness/poll-for.ts';
import { followServer, type ServerProcess } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Packages are fetched and a guest is built; on a slow machine with empty caches that takes minutes. */
const FIRST_START_LIMIT_MS = 600_000;

/** The files of the project as they stand, without anything that was built or installed. */
function cleanClone(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tabmotion-clone-'));
  const names = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { cwd: ROOT, encoding: 'utf8' }).split('\0');
  for (const name of names) {
    // A link could lead back to what is installed here, which `npm ci` would then remove.
    const isFile = name !== '' && lstatSync(join(ROOT, name), { throwIfNoEntry: false })?.isFile() === true;
    if (isFile) cpSync(join(ROOT, name), join(folder, name));
  }
  return folder;
}

function npmStart(folder: string): Promise<ServerProcess> {
  return followServer({
    command: ['npm', 'start', '--', '--port', '0'],
    folder,
    environment: { TABMOTION_TEST_BUILD: '' },
    dataDir: join(folder, '.cache/server'),
    startLimitMs: FIRST_START_LIMIT_MS,
  });
}

/** When npm gets the signal to end, it does not pass the signal on to what its shell runs; the server notices by itself. */
async function endNpm(server: ServerProcess): Promise<void> {
  server.process.kill('SIGTERM');
  await pollFor(
    'the port to be free again',
    async () => {
      const probe = createServer();
      const free = await Promise.race([once(probe.listen(server.port, '127.0.0.1'), 'listening').then(() => true), once(probe, 'error').then(() => false)]);
      probe.close();
      return free;
    },
    10_000,
  );
}

test('A1: from a clean clone, `npm ci && npm start` leads to a shell in the page; the second start rebuilds nothing', async ({ context }) => {
  test.skip(!existsSync(join(ROOT, '.git')), "needs a git checkout to tell the project's files from others");
  test.setTimeout(2 * FIRST_START_LIMIT_MS);
  const folder = cleanClone();
  try {
    // If NODE_ENV is production, npm leaves out what only development needs; the start must work without it.
    execFileSync('npm', ['ci', '--prefer-offline'], { cwd: folder, stdio: 'pipe', env: { ...process.env, NODE_ENV: 'production' } });
    const first = await npmStart(folder);
    expect(first.output()).toContain('Building the guest');
    expect(first.output()).toContain('Building the page');
    const tab = new HostPage(await context.newPage(), 'tab');
    await tab.open(first.address);
    const vm = await tab.runningVm();
    await tab.waitForPrompt(vm.id);
    expect((await tab.run(vm.id, 'uname -m')).output).toBe('i686');
    expect(tab.errors).toEqual([]);
    await tab.page.close({ runBeforeUnload: false });
    await endNpm(first);

    const made = ['.cache/guest/manifest.json', 'dist/page/index.html'].map((name) => statSync(join(folder, name)).mtimeMs);
    const second = await npmStart(folder);
    expect(second.output()).not.toContain('Building');
    expect(['.cache/guest/manifest.json', 'dist/page/index.html'].map((name) => statSync(join(folder, name)).mtimeMs)).toEqual(made);
    expect(new URL(second.address).hash).toBe(new URL(first.address).hash);
    await endNpm(second);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
