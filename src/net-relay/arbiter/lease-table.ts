/**
 * The arbiter: who owns a VM, as a pure state machine. One lease per VM; `(lease, event) → lease + effects`. No I/O, no
 * clock: the relay performs the effects in the order given, and sends an event when time has run out.
 *
 *              hold                drained              commit
 *   owned ───────────► holding ───────────► drained ───────────────► committed-unconfirmed
 *     ▲                   │ release, abort     │ release, abort            │         │
 *     ├───────────────────┴────────────────────┘                           │         │
 *     ├──── alive: the target has it (epoch + 1) ◄─────────────────────────┘         │
 *     └──── given back: the source has it again (epoch + 2) ◄── silent for too long ─┘
 *
 * The epoch rises with every change of owner and never falls. `commit` is the one commit point: it is a compare-and-set
 * on (owner, epoch, state, migration, target). A commit that arrives while the lease is still holding waits for
 * `drained`. A migration that was aborted, or that moved the VM, is remembered and can never commit again; one that was
 * released may hold again.
 */
import { assertNever } from '../../shared/assert-never.ts';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../../shared/ids.ts';

/** How a migration ended at the arbiter: the source kept the VM, the target has it, or the target had it but gave no sign of life. */
interface EndedMigration {
  readonly migrationId: MigrationId;
  readonly sourceHostId: HostId;
  readonly sourceEpoch: LeaseEpoch;
  readonly how: 'kept' | 'moved' | 'given-back';
}

interface LeaseBase {
  readonly vmId: VmId;
  readonly ownerHostId: HostId;
  readonly epoch: LeaseEpoch;
  /** The last migrations that ended, newest first. */
  readonly ended: readonly EndedMigration[];
}

export interface OwnedLease extends LeaseBase {
  readonly state: 'owned';
}
/** The source is about to stop; frames for the VM wait at the relay. */
interface HoldingLease extends LeaseBase {
  readonly state: 'holding';
  readonly migrationId: MigrationId;
  readonly targetHostId: HostId;
  /** The target has already asked for the commit: its request arrived before the source's `drained`. */
  readonly commitWaits: boolean;
}
/** The source's CPU is stopped, and it has sent everything it had to send: a commit is allowed. */
interface DrainedLease extends LeaseBase {
  readonly state: 'drained';
  readonly migrationId: MigrationId;
  readonly targetHostId: HostId;
}
/** The target owns the VM and has given no sign of life yet; the source keeps its frozen copy. */
export interface UnconfirmedLease extends LeaseBase {
  readonly state: 'committed-unconfirmed';
  readonly migrationId: MigrationId;
  readonly sourceHostId: HostId;
  readonly sourceEpoch: LeaseEpoch;
  /** The time for the sign of life is over, but the source was away too, or the give-back could not be stored: it follows when that changes. */
  readonly expired: boolean;
}
export type Lease = OwnedLease | HoldingLease | DrainedLease | UnconfirmedLease;
export type LeaseState = Lease['state'];

/** `hostId` and `epoch` are those under which the relay admitted the sending port, not what a message claims. */
export type LeaseEvent =
  | { readonly type: 'hold'; readonly hostId: HostId; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId; readonly targetHostId: HostId }
  | { readonly type: 'drained'; readonly hostId: HostId; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId }
  | { readonly type: 'release'; readonly hostId: HostId; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId }
  | { readonly type: 'abort'; readonly hostId: HostId; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId }
  | { readonly type: 'commit'; readonly hostId: HostId; readonly migrationId: MigrationId; readonly fromHostId: HostId; readonly fromEpoch: LeaseEpoch }
  /** A sign of life: the message, or the first frame, of the port at (hostId, epoch). */
  | { readonly type: 'alive'; readonly hostId: HostId; readonly epoch: LeaseEpoch }
  | { readonly type: 'who-owns'; readonly hostId: HostId; readonly migrationId: MigrationId }
  /** A target's port is gone. When it comes back, it asks again for what it was waiting for. */
  | { readonly type: 'target-left'; readonly hostId: HostId; readonly migrationId: MigrationId }
  /** CONFIRM_LIMIT of relay uptime passed since the commit. */
  | { readonly type: 'confirm-expired'; readonly sourcePresent: boolean }
  /** The port of the former owner is attached again. */
  | { readonly type: 'source-returned'; readonly hostId: HostId }
  /** The relay lost everything that it had not stored: holds are gone, the wait for a sign of life starts over. */
  | { readonly type: 'relay-restarted' };

type EventOf<T extends LeaseEvent['type']> = Extract<LeaseEvent, { type: T }>;

export type LeaseEffect =
  /** Buffer frames for the VM from now on, then tell the source `held`. */
  | { readonly type: 'begin-hold'; readonly migrationId: MigrationId }
  /** Tell the source `held` again: it lost its connection in between. It gives its frames back again from the start. */
  | { readonly type: 'repeat-held'; readonly migrationId: MigrationId }
  | { readonly type: 'tell-drained'; readonly migrationId: MigrationId }
  /** Process the commit that waited, as if it arrived now. */
  | { readonly type: 'commit-waited'; readonly commit: EventOf<'commit'> }
  /** Deliver the frames that waited to the owner, which is the source. */
  | { readonly type: 'end-hold' }
  | { readonly type: 'tell-released'; readonly migrationId: MigrationId }
  /** Cut the source's port and put the target's in its place; deliver the frames that waited, and keep them until confirmed. */
  | { readonly type: 'move-port'; readonly toHostId: HostId; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId }
  | { readonly type: 'tell-committed'; readonly toHostId: HostId; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId }
  | { readonly type: 'await-sign-of-life'; readonly afterRestart: boolean }
  /** The target lives: drop the frames that were kept, stop waiting. */
  | { readonly type: 'confirm' }
  /** Cut the target's port, put the source's in its place, deliver the frames again that the target got. */
  | { readonly type: 'give-back'; readonly toHostId: HostId; readonly fromHostId: HostId; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId }
  | {
      readonly type: 'tell-outcome';
      readonly toHostId: HostId;
      readonly migrationId: MigrationId;
      readonly ownerHostId: HostId;
      readonly epoch: LeaseEpoch;
      readonly alive: boolean;
    }
  | { readonly type: 'refuse'; readonly request: LeaseEvent['type']; readonly toHostId: HostId; readonly migrationId: MigrationId; readonly reason: string };

export interface LeaseStep {
  readonly lease: Lease;
  readonly effects: readonly LeaseEffect[];
}

const NOT_HANDED_OVER = 'The source has not handed the VM over.';
const ENDED_BY_SOURCE = 'The source has ended this migration.';

/** Migrations remembered per VM: a late message of an older one finds no `hold` it could belong to anyway. */
const MAX_ENDED = 16;

export function newLease(vmId: VmId, ownerHostId: HostId): OwnedLease {
  return { state: 'owned', vmId, ownerHostId, epoch: 1 as LeaseEpoch, ended: [] };
}

/** The lease's record of a migration that ended, if it is still remembered. */
function endedMigration(lease: Lease, migrationId: MigrationId): EndedMigration | undefined {
  return lease.ended.find((entry) => entry.migrationId === migrationId);
}

/** The role of a port that asks to attach as owner at this epoch. */
export function admitOwner(lease: Lease, hostId: HostId, epoch: LeaseEpoch): 'owner' | 'former-owner' | 'stale-epoch' | 'not-owner' {
  const givenBack = lease.ended.some((entry) => entry.how === 'given-back' && entry.sourceEpoch === epoch && lease.epoch === epoch + 2);
  if (lease.ownerHostId === hostId && (lease.epoch === epoch || givenBack)) return 'owner';
  if (moveFrom(lease, hostId, epoch) !== undefined) return 'former-owner';
  return lease.ownerHostId === hostId || epoch < lease.epoch ? 'stale-epoch' : 'not-owner';
}

/** The role of a port that asks to attach as target; `owner`: its commit was already done. */
export function admitTarget(lease: Lease, hostId: HostId, epoch: LeaseEpoch, migrationId: MigrationId): 'owner' | 'target' | 'stale-epoch' {
  const past = endedMigration(lease, migrationId);
  if (lease.ownerHostId === hostId) {
    const committed = (lease.state === 'committed-unconfirmed' && lease.migrationId === migrationId) || past?.how === 'moved';
    return committed ? 'owner' : 'stale-epoch';
  }
  return past === undefined && lease.epoch === epoch ? 'target' : 'stale-epoch';
}

/** The switchover that took the VM from this (host, epoch), if it is remembered. */
export function moveFrom(lease: Lease, hostId: HostId, epoch: LeaseEpoch): MigrationId | undefined {
  if (lease.state === 'committed-unconfirmed' && lease.sourceHostId === hostId && lease.sourceEpoch === epoch) return lease.migrationId;
  return lease.ended.find((entry) => entry.how !== 'kept' && entry.sourceHostId === hostId && entry.sourceEpoch === epoch)?.migrationId;
}

export function stepLease(lease: Lease, event: LeaseEvent): LeaseStep {
  switch (event.type) {
    case 'hold':
      return hold(lease, event);
    case 'drained':
      return drained(lease, event);
    case 'release':
      return release(lease, event);
    case 'abort':
      return abort(lease, event);
    case 'commit':
      return commit(lease, event);
    case 'target-left':
      if (!hasWaitingCommit(lease)) return unchanged(lease);
      if (lease.migrationId !== event.migrationId || lease.targetHostId !== event.hostId) return unchanged(lease);
      return { lease: { ...lease, commitWaits: false }, effects: [] };
    case 'alive':
      return alive(lease, event);
    case 'who-owns':
      return { lease, effects: [outcomeFor(lease, event.hostId, event.migrationId)] };
    case 'confirm-expired':
      if (lease.state !== 'committed-unconfirmed') return unchanged(lease);
      return event.sourcePresent ? giveBack(lease) : { lease: { ...lease, expired: true }, effects: [] };
    case 'source-returned':
      if (lease.state !== 'committed-unconfirmed' || lease.sourceHostId !== event.hostId || !lease.expired) return unchanged(lease);
      return giveBack(lease);
    case 'relay-restarted':
      return relayRestarted(lease);
    default:
      return assertNever(event);
  }
}

const hasWaitingCommit = (lease: Lease): lease is HoldingLease => lease.state === 'holding' && lease.commitWaits;

const unchanged = (lease: Lease): LeaseStep => ({ lease, effects: [] });

function refuse(lease: Lease, event: { type: LeaseEvent['type']; hostId: HostId; migrationId: MigrationId }, reason: string): LeaseStep {
  return { lease, effects: [{ type: 'refuse', request: event.type, toHostId: event.hostId, migrationId: event.migrationId, reason }] };
}

const holds = (lease: Lease, hostId: HostId, epoch: LeaseEpoch): boolean => lease.ownerHostId === hostId && lease.epoch === epoch;

function undisturbed(lease: Lease): OwnedLease {
  return { state: 'owned', vmId: lease.vmId, ownerHostId: lease.ownerHostId, epoch: lease.epoch, ended: lease.ended };
}

/** The lease with one more migration ended. */
function owned(lease: Lease, ownerHostId: HostId, epoch: LeaseEpoch, ended: EndedMigration): OwnedLease {
  const others = lease.ended.filter((entry) => entry.migrationId !== ended.migrationId);
  return { state: 'owned', vmId: lease.vmId, ownerHostId, epoch, ended: [ended, ...others].slice(0, MAX_ENDED) };
}

function kept(lease: Lease, migrationId: MigrationId): OwnedLease {
  return owned(lease, lease.ownerHostId, lease.epoch, { migrationId, sourceHostId: lease.ownerHostId, sourceEpoch: lease.epoch, how: 'kept' });
}

function outcomeFor(lease: Lease, toHostId: HostId, migrationId: MigrationId): LeaseEffect {
  const movedHere = lease.ended.some((entry) => entry.migrationId === migrationId && entry.how === 'moved');
  const alive = lease.state !== 'committed-unconfirmed' && (movedHere || lease.ownerHostId !== toHostId);
  return { type: 'tell-outcome', toHostId, migrationId, ownerHostId: lease.ownerHostId, epoch: lease.epoch, alive };
}

function hold(lease: Lease, event: EventOf<'hold'>): LeaseStep {
  if (!holds(lease, event.hostId, event.epoch)) return refuse(lease, event, 'This host does not own the VM any more.');
  if (lease.state === 'committed-unconfirmed') return refuse(lease, event, 'The last move of this VM is not confirmed yet.');
  if (lease.state !== 'owned') {
    if (lease.migrationId !== event.migrationId || lease.targetHostId !== event.targetHostId) {
      return refuse(lease, event, 'Another migration of this VM is in its switchover.');
    }
    return { lease, effects: [{ type: 'repeat-held', migrationId: event.migrationId }] };
  }
  if (endedMigration(lease, event.migrationId) !== undefined) return refuse(lease, event, 'This migration has ended already.');
  if (event.targetHostId === event.hostId) return refuse(lease, event, 'A VM cannot be moved to the host that owns it.');
  const next: HoldingLease = {
    state: 'holding',
    vmId: lease.vmId,
    ownerHostId: lease.ownerHostId,
    epoch: lease.epoch,
    ended: lease.ended,
    migrationId: event.migrationId,
    targetHostId: event.targetHostId,
    commitWaits: false,
  };
  return { lease: next, effects: [{ type: 'begin-hold', migrationId: event.migrationId }] };
}

function drained(lease: Lease, event: EventOf<'drained'>): LeaseStep {
  if (!holds(lease, event.hostId, event.epoch)) return refuse(lease, event, 'This host does not own the VM any more.');
  if ((lease.state !== 'holding' && lease.state !== 'drained') || lease.migrationId !== event.migrationId) {
    return refuse(lease, event, 'This migration holds no frames, so it cannot be drained.');
  }
  const { migrationId, targetHostId } = lease;
  const next: DrainedLease = {
    state: 'drained',
    vmId: lease.vmId,
    ownerHostId: lease.ownerHostId,
    epoch: lease.epoch,
    ended: lease.ended,
    migrationId,
    targetHostId,
  };
  const tell: LeaseEffect = { type: 'tell-drained', migrationId };
  if (!hasWaitingCommit(lease)) return { lease: next, effects: [tell] };
  const waited: EventOf<'commit'> = { type: 'commit', hostId: targetHostId, migrationId, fromHostId: lease.ownerHostId, fromEpoch: lease.epoch };
  return { lease: next, effects: [tell, { type: 'commit-waited', commit: waited }] };
}

/** Whether a commit by the target may succeed at any moment. */
export function mayCommit(lease: Lease): boolean {
  return lease.state === 'drained' || hasWaitingCommit(lease);
}

/** Refuses a commit that waited in vain. */
function refuseWaiting(lease: Lease, reason: string): LeaseEffect[] {
  if (!hasWaitingCommit(lease)) return [];
  return [{ type: 'refuse', request: 'commit', toHostId: lease.targetHostId, migrationId: lease.migrationId, reason }];
}

/** Unlike an abort, a release does not end the migration: the source goes on copying, and may hold again. */
function release(lease: Lease, event: EventOf<'release'>): LeaseStep {
  if (!holds(lease, event.hostId, event.epoch)) return refuse(lease, event, 'Too late: this host does not own the VM any more.');
  const tell: LeaseEffect = { type: 'tell-released', migrationId: event.migrationId };
  if ((lease.state !== 'holding' && lease.state !== 'drained') || lease.migrationId !== event.migrationId) return { lease, effects: [tell] };
  return { lease: undisturbed(lease), effects: [{ type: 'end-hold' }, tell, ...refuseWaiting(lease, NOT_HANDED_OVER)] };
}

function abort(lease: Lease, event: EventOf<'abort'>): LeaseStep {
  if (!holds(lease, event.hostId, event.epoch) || lease.state === 'committed-unconfirmed') {
    return { lease, effects: [outcomeFor(lease, event.hostId, event.migrationId)] };
  }
  if ((lease.state === 'holding' || lease.state === 'drained') && lease.migrationId === event.migrationId) {
    const next = kept(lease, event.migrationId);
    return { lease: next, effects: [{ type: 'end-hold' }, outcomeFor(next, event.hostId, event.migrationId), ...refuseWaiting(lease, ENDED_BY_SOURCE)] };
  }
  // The migration is not in its switchover (its hold never arrived, or was lost with the relay's memory): from now on it can never begin one.
  const next = lease.state === 'owned' && endedMigration(lease, event.migrationId) === undefined ? kept(lease, event.migrationId) : lease;
  return { lease: next, effects: [outcomeFor(next, event.hostId, event.migrationId)] };
}

function commit(lease: Lease, event: EventOf<'commit'>): LeaseStep {
  const past = endedMigration(lease, event.migrationId);
  const already = (lease.state === 'committed-unconfirmed' && lease.migrationId === event.migrationId) || past?.how === 'moved';
  if (already && lease.ownerHostId === event.hostId) {
    // The answer to the first one was lost with the connection.
    return { lease, effects: [{ type: 'tell-committed', toHostId: event.hostId, epoch: lease.epoch, migrationId: event.migrationId }] };
  }
  if (past?.how === 'given-back') return refuse(lease, event, 'The VM was given back to its source, because no sign of life came in time.');
  if (past !== undefined) return refuse(lease, event, ENDED_BY_SOURCE);
  if (lease.state !== 'drained' && lease.state !== 'holding') return refuse(lease, event, NOT_HANDED_OVER);
  if (lease.migrationId !== event.migrationId || lease.targetHostId !== event.hostId) {
    return refuse(lease, event, 'The source is handing the VM over to another migration.');
  }
  if (!holds(lease, event.fromHostId, event.fromEpoch)) return refuse(lease, event, 'The VM has changed hands since this migration began.');
  if (lease.state === 'holding') return { lease: { ...lease, commitWaits: true }, effects: [] };
  const epoch = (lease.epoch + 1) as LeaseEpoch;
  const next: UnconfirmedLease = {
    state: 'committed-unconfirmed',
    vmId: lease.vmId,
    ownerHostId: event.hostId,
    epoch,
    ended: lease.ended,
    migrationId: event.migrationId,
    sourceHostId: lease.ownerHostId,
    sourceEpoch: lease.epoch,
    expired: false,
  };
  return {
    lease: next,
    effects: [
      // Told first: the target takes frames only once it knows that it owns the VM.
      { type: 'tell-committed', toHostId: event.hostId, epoch, migrationId: event.migrationId },
      { type: 'move-port', toHostId: event.hostId, epoch, migrationId: event.migrationId },
      { type: 'await-sign-of-life', afterRestart: false },
    ],
  };
}

function alive(lease: Lease, event: EventOf<'alive'>): LeaseStep {
  if (lease.state !== 'committed-unconfirmed' || !holds(lease, event.hostId, event.epoch)) return unchanged(lease);
  const next = owned(lease, lease.ownerHostId, lease.epoch, {
    migrationId: lease.migrationId,
    sourceHostId: lease.sourceHostId,
    sourceEpoch: lease.sourceEpoch,
    how: 'moved',
  });
  return { lease: next, effects: [{ type: 'confirm' }, outcomeFor(next, lease.sourceHostId, lease.migrationId)] };
}

function giveBack(lease: UnconfirmedLease): LeaseStep {
  const epoch = (lease.epoch + 1) as LeaseEpoch;
  const next = owned(lease, lease.sourceHostId, epoch, {
    migrationId: lease.migrationId,
    sourceHostId: lease.sourceHostId,
    sourceEpoch: lease.sourceEpoch,
    how: 'given-back',
  });
  return {
    lease: next,
    effects: [
      outcomeFor(next, lease.sourceHostId, lease.migrationId),
      { type: 'give-back', toHostId: lease.sourceHostId, fromHostId: lease.ownerHostId, epoch, migrationId: lease.migrationId },
    ],
  };
}

function relayRestarted(lease: Lease): LeaseStep {
  switch (lease.state) {
    case 'owned':
      return unchanged(lease);
    case 'holding':
    case 'drained':
      return { lease: undisturbed(lease), effects: [] };
    case 'committed-unconfirmed':
      return { lease: { ...lease, expired: false }, effects: [{ type: 'await-sign-of-life', afterRestart: true }] };
    default:
      return assertNever(lease);
  }
}
