import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import { FULL } from '../../shared/testing/full.ts';
import { nodeDisk } from './disk.ts';
import { openRecordStore } from './record-store.ts';
import { contentOf } from './testing/store-contract.ts';

const WRITER = fileURLToPath(new URL('testing/write-until-killed.ts', import.meta.url));

it('NR25: a process killed at any moment of its writes has lost nothing that it said was stored', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'tabmotion-kill-'));
  const directory = join(parent, 'records');
  const random = new SeededRandom(11);
  let next = 0;
  for (let life = 0; life < (FULL ? 60 : 4); life++) {
    const writer = spawn(process.execPath, ['--import', 'tsx', WRITER, directory, String(next)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const killAt = next + 1 + random.below(80);
    let said = '';
    writer.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (Number(said.trimEnd().split('\n').at(-1)) >= killAt) writer.kill('SIGKILL');
    });
    await once(writer, 'close');
    // A line may be cut off, and a number may be stored but not printed any more.
    const stored = Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1));
    expect(stored).toBeGreaterThanOrEqual(killAt);
    const store = openRecordStore(nodeDisk(directory));
    const numbers = Object.entries(contentOf(store)).map(([, value]) => (value as { number: number }).number);
    await store.close();
    const newest = Math.max(...numbers);
    expect([stored, stored + 1], `killed from ${killAt} on`).toContain(newest);
    expect(numbers.sort((a, b) => a - b)).toEqual(
      Array.from({ length: Math.min(10, newest + 1) }, (_, index) => newest - Math.min(10, newest + 1) + 1 + index),
    );
    next = newest + 1;
  }
  rmSync(parent, { recursive: true });
}, 120_000);
