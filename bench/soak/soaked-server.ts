/** The server under attack: the real one in a process of its own, and what the kernel and the server itself say of it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { startServer, type ServerProcess } from '../../e2e/harness/server-process.ts';

/** The figures that the server reports about itself. */
export class Figures {
  private readonly all: unknown;

  constructor(all: unknown) {
    this.all = all;
  }

  /** The sum of everything counted under this name, wherever it stands in the answer. */
  counted(name: string): number {
    return countIn(this.all, (key) => key === name);
  }

  /** The sum of everything counted in the tables of this name, e.g. `refusals`. */
  under(table: string): number {
    return countIn(this.all, () => false, table);
  }
}

function countIn(value: unknown, fits: (key: string) => boolean, table?: string): number {
  if (typeof value !== 'object' || value === null) return 0;
  let sum = 0;
  for (const [key, inner] of Object.entries(value)) {
    if (typeof inner === 'number') sum += fits(key) ? inner : 0;
    else sum += countIn(inner, key === table ? () => true : fits, table);
  }
  return sum;
}

/** The resources that the process has from the kernel. */
export interface Held {
  readonly memoryMiB: number;
  readonly descriptors: number;
  readonly listeners: number;
}

export interface SoakedServer {
  readonly origin: string;
  readonly port: number;
  readonly key: string;
  /** Everything it printed. */
  output(): string;
  /** True as long as it did not end. */
  lives(): boolean;
  held(): Held;
  figures(): Promise<Figures>;
  stop(): Promise<void>;
}

export async function startSoakedServer(args: readonly string[]): Promise<SoakedServer> {
  const server: ServerProcess = await startServer({ args });
  const { pid } = server.process;
  if (pid === undefined) throw new Error('The server has no process id.');
  const key = new URL(server.address).hash.slice(1);
  return {
    origin: server.origin,
    port: server.port,
    key,
    output: () => server.output(),
    lives: () => server.process.exitCode === null && server.process.signalCode === null,
    held: () => held(pid),
    async figures() {
      const answer = await fetch(`${server.origin}/api/relay`, { headers: { Authorization: `Bearer ${key}` } });
      return new Figures(await answer.json());
    },
    async stop() {
      await server.stop();
    },
  };
}

const LISTENING = '0A';

function held(pid: number): Held {
  const memory = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  const open = readdirSync(`/proc/${pid}/fd`);
  const sockets = new Set(open.map((descriptor) => socketOf(`/proc/${pid}/fd/${descriptor}`)));
  const rows = ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((row) => row.trim().split(/\s+/)),
  );
  return {
    memoryMiB: Number(memory) / 1024,
    descriptors: open.length,
    listeners: rows.filter((row) => row[3] === LISTENING && row[9] !== undefined && sockets.has(row[9])).length,
  };
}

/** The inode of a descriptor's socket, as /proc/net names it; null if the descriptor is no socket, or has been closed since. */
function socketOf(path: string): string | null {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1] ?? null;
  } catch {
    return null;
  }
}
