/** The same guest and the same transfers in QEMU (TCG) with its user-mode network, where QEMU is installed. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pollFor } from '../../e2e/harness/poll-for.ts';
import { artefactPath } from '../../guest/guest-set.ts';
import { builtGuestSet } from '../../guest/testing/restored-guest.ts';
import { serveCommand, SINK_PORT, SOURCE_PORT, transferRates, type TransferRates } from './transfer.ts';

const PROGRAM = 'qemu-system-i386';
const PROMPT = 'guest# ';
const BOOT_LIMIT_MS = 180_000;
const MAC = '02:5a:00:00:00:2b';
const DONE = 'transfers-can-begin';

/** `QEMU emulator version …`, or null if there is none. */
export function qemuVersion(): string | null {
  const asked = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' });
  return asked.status === 0 ? (/version (\S+)/.exec(asked.stdout)?.[1] ?? 'unknown') : null;
}

/** Boots the guest's disk, and throws away what it writes. Rejects with what QEMU and the guest said if it does not come up. */
export async function qemuTransfers(mebibytes: number, runs: number): Promise<TransferRates> {
  const { directory, manifest } = builtGuestSet();
  const folder = await mkdtemp(join(tmpdir(), 'tabmotion-qemu-'));
  const [sink, source] = [await freePort(), await freePort()];
  const [consolePath, agentPath] = [join(folder, 'console'), join(folder, 'agent')];
  const child = spawn(
    PROGRAM,
    [
      '-accel',
      'tcg',
      '-cpu',
      'pentium3',
      '-m',
      String(manifest.memoryBytes / 1024 / 1024),
      '-nodefaults',
      '-vga',
      'std',
      '-display',
      'none',
      '-no-reboot',
      '-drive',
      `file=${artefactPath(directory, manifest.disk)},format=raw,if=ide,snapshot=on`,
      '-serial',
      `unix:${consolePath},server=on,wait=off`,
      '-serial',
      `unix:${agentPath},server=on,wait=off`,
      '-netdev',
      `user,id=lan,hostfwd=tcp:127.0.0.1:${sink}-:${SINK_PORT},hostfwd=tcp:127.0.0.1:${source}-:${SOURCE_PORT}`,
      '-device',
      `virtio-net-pci,netdev=lan,mac=${MAC},romfile=`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TMPDIR: folder } },
  );
  let complaints = '';
  child.stderr.on('data', (data: Buffer) => (complaints += data.toString()));
  const ended = once(child, 'exit');
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const lines: Line[] = [];
  try {
    const console = await openLine(consolePath);
    lines.push(console);
    const agent = await openLine(agentPath);
    lines.push(agent);
    const heard = (line: Line, what: string): Promise<unknown> =>
      pollFor(
        `${JSON.stringify(what)} from the guest in QEMU`,
        () => {
          if (child.exitCode !== null) throw new Error('QEMU ended.');
          return line.text().includes(what);
        },
        BOOT_LIMIT_MS,
      );
    await heard(agent, 'event ready');
    agent.write(`identity mac=${MAC} hostname=pc ip=10.0.2.15/24 gateway=10.0.2.2 dns=10.0.2.3 time=${Date.now()} seed=${'cd'.repeat(64)} password=x\n`);
    await heard(agent, 'ok identity');
    await heard(agent, 'event services');
    await heard(console, PROMPT);
    // printf assembles the mark, so that the echo of the typed line is not mistaken for it.
    console.write(`${serveCommand(mebibytes)}; printf '%s-%s\\n' transfers can-begin\n`);
    await heard(console, DONE);
    return await transferRates({ sink, source }, mebibytes, runs);
  } catch (error) {
    throw new Error(
      `${error instanceof Error ? error.message : String(error)}\nQEMU: ${complaints.trim() || '(nothing)'}\nThe guest: ${lines[0]?.text().slice(-500) ?? '(nothing)'}`,
      { cause: error },
    );
  } finally {
    for (const line of lines) line.close();
    kill();
    await ended;
    process.removeListener('exit', kill);
    await rm(folder, { recursive: true, force: true });
  }
}

interface Line {
  text(): string;
  write(text: string): void;
  close(): void;
}

/** A serial port of the machine; QEMU makes the socket as it starts. */
async function openLine(path: string): Promise<Line> {
  const socket = await pollFor(
    `QEMU to open ${path}`,
    () =>
      new Promise<Socket | null>((resolve) => {
        const tried = connect(path, () => resolve(tried));
        tried.once('error', () => resolve(null));
      }),
  );
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  socket.on('error', () => undefined);
  return { text: () => text, write: (typed) => void socket.write(typed), close: () => void socket.destroy() };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
