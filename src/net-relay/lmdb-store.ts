/** The relay's records in LMDB: transactional, and durable when a write returns. */
import { open } from 'lmdb';
import type { KeyValueStore } from './relay-store.ts';

/** Keys are `vm/ROOM/VM_ID` with ids of at most 64 letters; LMDB's own limit is 1978 bytes. */
export function openLmdbStore(directory: string): KeyValueStore {
  const database = open<unknown, string>({ path: directory, encoding: 'json' });
  return {
    *entries() {
      for (const { key, value } of database.getRange()) yield [key, value] as const;
    },
    put(key, value) {
      database.putSync(key, value);
    },
    remove(key) {
      database.removeSync(key);
    },
    close: () => database.close(),
  };
}
