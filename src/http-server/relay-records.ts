/** Opens the relay's records in the data directory. If something is wrong there, a sentence says what to do. */
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '../net-relay/store/disk.ts';
import { StoreDamaged, StoreRefusal, StoreUnsure, type KeyValueStore } from '../net-relay/store/key-value-store.ts';
import { openRecordStore } from '../net-relay/store/record-store.ts';
import { DataDirectoryError } from './data-directory.ts';

const WITHOUT_THEM = 'then the server begins without records, rooms get new keys, and PCs that still run in tabs end';

export interface RelayRecordsOptions {
  /** `--move-damaged-store-aside` was given. */
  readonly moveDamagedAside: boolean;
  /** One line of news at a time. */
  readonly say: (line: string) => void;
}

/** Throws DataDirectoryError. Only records that cannot be read are moved aside, and only if that was asked for. */
export function openRelayRecords(dataDir: string, { moveDamagedAside, say }: RelayRecordsOptions): KeyValueStore {
  const directory = join(dataDir, 'records');
  const older = join(dataDir, 'relay');
  const open = (): KeyValueStore => openRecordStore(nodeDisk(directory));
  const openWithout = (damaged: string, why: string): KeyValueStore => {
    const aside = `${damaged}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
    renameSync(damaged, aside);
    const store = open();
    say(`The server's records could not be read: ${why}. They lie in ${aside} now, and the server begins without any.`);
    return store;
  };
  try {
    if (existsSync(join(older, 'data.mdb')) && !existsSync(directory)) {
      const why = `an older version of TabMotion wrote ${older}`;
      if (moveDamagedAside) return openWithout(older, why);
      throw new DataDirectoryError(
        `The server's records cannot be read: ${why}. Use that version, choose another directory with --data DIR, or start once with --move-damaged-store-aside: ${WITHOUT_THEM}.`,
      );
    }
    return open();
  } catch (error) {
    if (!(error instanceof StoreDamaged) || !moveDamagedAside) throw explained(error, dataDir);
    try {
      return openWithout(directory, error.message);
    } catch (again) {
      throw explained(again, dataDir);
    }
  }
}

function explained(error: unknown, dataDir: string): DataDirectoryError {
  const other = 'or choose another directory with --data DIR';
  if (error instanceof DataDirectoryError) return error;
  if (error instanceof StoreDamaged) {
    return new DataDirectoryError(
      `The server's records are damaged: ${error.message}. They hold the rooms' keys and say which tab owns which VM. Put them back from a copy, ${other}; or start once with --move-damaged-store-aside: ${WITHOUT_THEM}.`,
    );
  }
  if (error instanceof StoreRefusal && error.kind === 'full') {
    return new DataDirectoryError(`The server's disk is full: its records in ${dataDir} need 128 KiB. Free some space, ${other}.`);
  }
  if (error instanceof StoreRefusal && error.kind === 'read-only') {
    return new DataDirectoryError(`The server may not write to its data directory ${dataDir} (${error.message}). Let this user write there, ${other}.`);
  }
  if (error instanceof StoreRefusal || error instanceof StoreUnsure)
    return new DataDirectoryError(`${error.message}: its records in ${dataDir} cannot be opened. Check the disk, ${other}.`);
  return new DataDirectoryError(
    `The server's records in ${dataDir} cannot be opened (${error instanceof Error ? error.message : String(error)}). Let this user read and write there, ${other}.`,
  );
}
