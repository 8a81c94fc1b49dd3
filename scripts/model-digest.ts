/**
 * Tells whether the model was checked against the current code: `model/checked.sha256` holds the digest of what the model
 * stands for, as it was when `npm run model` last passed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sourceDigest } from '../src/http-server/source-digest.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CHECKED = `${ROOT}model/checked.sha256`;

/** The model, its checker, and the code whose states, requests and messages the model describes. */
const MODELLED: readonly string[] = [
  'model/handover.pml',
  'scripts/model-report.ts',
  'scripts/verify-model.ts',
  'src/migration/receiver-machine.ts',
  'src/migration/receiver-states.ts',
  'src/migration/sender-failure.ts',
  'src/migration/sender-machine.ts',
  'src/migration/sender-states.ts',
  'src/net-relay/client/port-connection.ts',
  'src/net-relay/client/source-lease.ts',
  'src/net-relay/client/target-lease.ts',
  'src/net-relay/arbiter/lease-keeper.ts',
  'src/net-relay/arbiter/lease-table.ts',
  'src/net-relay/server/room-vm.ts',
];

export async function wasChecked(): Promise<boolean> {
  return readFileSync(CHECKED, 'utf8').trim() === (await sourceDigest(ROOT, MODELLED));
}

/** Call it once every check has passed. */
export async function setChecked(): Promise<void> {
  writeFileSync(CHECKED, `${await sourceDigest(ROOT, MODELLED)}\n`);
}
