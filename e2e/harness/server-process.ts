import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pollFor } from './poll-for.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The guest and the page are built before tests run; what is left is a Node process that starts on a busy machine. */
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 5_000;

export interface ServerOptions {
  /** Further options of `npm start`. */
  readonly args?: readonly string[];
  readonly port?: number;
  /** Keys and leases. If none is given, the server gets its own folder, which is deleted with it. */
  readonly dataDir?: string;
  /** The page with test hooks (default), or the one that visitors get. */
  readonly testBuild?: boolean;
  /** The command line that runs it somewhere else, e.g. in a network namespace. */
  readonly within?: (command: readonly string[]) => string[];
}

export interface ServerProcess {
  /** The address of the ready line, key included. */
  readonly address: string;
  /** `http://host:port` of that address. */
  readonly origin: string;
  readonly port: number;
  readonly process: ChildProcess;
  readonly dataDir: string;
  /** Everything it printed so far. */
  output(): string;
  /** SIGTERM; resolves with the exit status once the process is gone. */
  stop(): Promise<number | null>;
  /** SIGKILL, as in a crash; the data directory stays. */
  kill(): Promise<void>;
}

/** Starts the real server as `npm start` does and waits for its ready line. */
export async function startServer(options: ServerOptions = {}): Promise<ServerProcess> {
  const ownData = options.dataDir === undefined ? await mkdtemp(join(tmpdir(), 'tabmotion-server-')) : null;
  const dataDir = options.dataDir ?? ownData ?? '';
  const command = [process.execPath, '--import', 'tsx', 'src/server.ts', '--port', String(options.port ?? 0), '--data', dataDir, ...(options.args ?? [])];
  const cleanUp = async (): Promise<void> => {
    if (ownData !== null) await rm(ownData, { recursive: true, force: true });
  };
  return followServer({
    command: options.within?.(command) ?? command,
    folder: ROOT,
    environment: { TABMOTION_TEST_BUILD: (options.testBuild ?? true) ? '1' : '' },
    dataDir,
    startLimitMs: START_LIMIT_MS,
    cleanUp,
  });
}

export interface ServerCommand {
  readonly command: readonly string[];
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly dataDir: string;
  readonly startLimitMs: number;
  readonly cleanUp?: () => Promise<void>;
}

/** Runs a command that starts a server, and waits for its ready line. */
export async function followServer({
  command,
  folder,
  environment,
  dataDir,
  startLimitMs,
  cleanUp = () => Promise.resolve(),
}: ServerCommand): Promise<ServerProcess> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { cwd: folder, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', (status) => resolve(status)));

  let address: string;
  try {
    // A server that ended will never be ready: no use in waiting for the limit.
    const seen = await pollFor(
      'the ready line of the server',
      () => readyAddress(output) ?? (child.exitCode === null ? null : { status: child.exitCode }),
      startLimitMs,
    );
    if (typeof seen !== 'string') throw new Error(`The server ended with status ${seen.status}`);
    address = seen;
  } catch (error) {
    child.kill('SIGKILL');
    await cleanUp();
    throw new Error(`The server did not start:\n${output}`, { cause: error });
  }
  const { origin, port } = new URL(address);
  return {
    address,
    origin,
    port: Number(port),
    process: child,
    dataDir,
    output: () => output,
    async stop() {
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      const status = await exited;
      clearTimeout(limit);
      await cleanUp();
      return status;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The address in `TabMotion is ready: <address>`, or null if the line is not there yet. */
function readyAddress(output: string): string | null {
  return /^TabMotion is ready: (\S+)$/m.exec(output)?.[1] ?? null;
}
