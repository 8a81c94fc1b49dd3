import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { openLmdbStore } from './lmdb-store.ts';
import { createRelay } from './relay-server.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tabmotion-store-'));
});
afterEach(() => rm(directory, { recursive: true }));

it('keeps what was put and not removed, over a close', async () => {
  const first = openLmdbStore(directory);
  first.put('vm/default/vm-1', { name: 'one', list: [1, 2] });
  first.put('vm/default/vm-2', { name: 'two' });
  first.put('vm/default/vm-1', { name: 'uno', list: [] });
  first.remove('vm/default/vm-2');
  first.remove('vm/default/vm-3');
  await first.close();
  const second = openLmdbStore(directory);
  expect([...second.entries()]).toEqual([['vm/default/vm-1', { name: 'uno', list: [] }]]);
  await second.close();
});

it('holds the default room\'s key for the next start of the relay (NR4)', async () => {
  const store = openLmdbStore(directory);
  const relay = createRelay({ store, clock: new VirtualClock() });
  relay.dispose();
  await store.close();
  const again = openLmdbStore(directory);
  const restarted = createRelay({ store: again, clock: new VirtualClock() });
  expect(restarted.defaultRoomKey).toBe(relay.defaultRoomKey);
  restarted.dispose();
  await again.close();
});
