import type { MigrationCause } from './report.ts';

/**
 * One sentence per cause, for an end without a more exact reason. Each says what happened and what to do; the report
 * says where the VM is then.
 */
export const CAUSE_SENTENCES: Readonly<Record<MigrationCause, string>> = {
  cancelled: 'The migration was cancelled.',
  'unknown-vm': 'No host of this room runs that VM. Choose one from the list of VMs.',
  'unknown-host': 'That host is not in the room. Choose one from the list of hosts.',
  'already-migrating': 'This VM is being migrated already. Wait for it to arrive, or cancel that migration.',
  'target-is-source': 'The VM runs on that host already. Choose another host.',
  'version-mismatch': 'The two hosts run versions of TabMotion that cannot talk to each other. Reload the older tab.',
  'fingerprint-mismatch': "The target cannot run this VM: it was built from other parts. Reload the target's tab.",
  'target-refused': 'The target refused the VM.',
  'prepare-failed': 'The target could not build the VM. Its console says more; try again or choose another host.',
  'link-failed': 'The connection between the two hosts broke. Try again.',
  'link-silent': 'The other host stopped answering. Bring its tab to the front, or choose another host.',
  'bad-message': 'The other host sent a message that cannot be right. Reload both tabs and try again.',
  'message-too-large': 'The other host sent a message larger than is allowed. Reload both tabs and try again.',
  'not-converging': 'The guest writes memory faster than it can be sent. Allow a longer pause, or try when it is less busy.',
  'disk-drain-failed': 'Disk reads of the VM did not come to an end. Check the connection to the server and try again.',
  'hold-failed': "The relay did not hold the VM's network frames. Check the connection to the server and try again.",
  'digest-mismatch': 'The memory that arrived at the target differs from what was sent. Try again.',
  'restore-failed': "The target could not restore the VM's devices. Try again or choose another host.",
  'commit-refused': 'The relay did not let the target take the VM over.',
  'target-silent': 'The target took the VM over and gave no sign of life. Bring its tab to the front, or choose another host.',
  'relay-lost': 'The relay could not be reached. Check the connection to the server and try again.',
  'vm-ended': 'The VM was powered off before it could be moved.',
  internal: "Something went wrong inside TabMotion. The browser's console says more.",
};

/** Why a migration did not complete: `cause` for programs, `message` a sentence a person can read. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  override readonly cause: MigrationCause;

  /** `reason` is a whole sentence with what is known; without it, the cause's own sentence. */
  constructor(cause: MigrationCause, reason?: string) {
    super(reason ?? CAUSE_SENTENCES[cause]);
    this.cause = cause;
  }
}

/** Any thrown value as a MigrationError: itself if it is one, else `cause` with its message appended to the cause's sentence. */
export function asMigrationError(error: unknown, cause: MigrationCause): MigrationError {
  if (error instanceof MigrationError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new MigrationError(cause, message === '' ? undefined : `${CAUSE_SENTENCES[cause]} (${message})`);
}
