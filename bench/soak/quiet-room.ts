/** A room of two hosts and a VM that nobody attacks: how long its pings and its hosts' messages take, in a process of its own. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Milliseconds; p99 of none is null. */
export interface QuietFigures {
  readonly pings: number;
  readonly lostPings: number;
  readonly pingP99: number | null;
  readonly messages: number;
  readonly messageP99: number | null;
}

export interface QuietRoom {
  /** The figures since the last call. */
  figures(): Promise<QuietFigures>;
  dispose(): void;
}

export async function openQuietRoom(origin: string): Promise<QuietRoom> {
  const child: ChildProcess = fork(fileURLToPath(new URL('quiet-room-process.ts', import.meta.url)), [origin], { execArgv: ['--import', 'tsx'] });
  await message(child);
  return {
    async figures() {
      child.send('figures');
      return (await message(child)) as QuietFigures;
    },
    dispose: () => child.disconnect(),
  };
}

async function message(child: ChildProcess): Promise<unknown> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('The quiet room ended.');
  });
  ended.catch(() => undefined);
  const [first] = (await Promise.race([once(child, 'message'), ended])) as unknown[];
  return first;
}
