/**
 * Keeps the lease of one VM, in memory and in the store. A change of owner is stored before anybody hears of it; if the
 * store refuses it, the change has not taken place (NR25). A commit is then refused; a sign of life or a give-back
 * waits until the store takes it.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../../shared/ids.ts';
import { stepLease, type Lease, type LeaseEffect, type LeaseEvent, type UnconfirmedLease } from './lease-table.ts';
import type { StoredLease } from '../store/relay-store.ts';
import { StoreRefusal } from '../store/key-value-store.ts';

/** What the store refused is offered again after this time. */
const STORE_AGAIN_MS = 250;

/** All effects except the commit that waited, which is a step of the lease itself. */
export type WorldEffect = Exclude<LeaseEffect, { type: 'commit-waited' }>;

export interface LeaseKeeperWorld {
  readonly clock: Clock;
  /** Durable when it returns. Throws StoreRefusal: then the previous record is still stored. */
  store(lease: StoredLease, hosts: readonly HostId[]): void;
  perform(effect: WorldEffect): void;
  /** The lease has made a step; its effects are about to be performed. */
  stepped(event: LeaseEvent, before: Lease, after: Lease, effects: readonly LeaseEffect[]): void;
  ownerChanged(): void;
  /** The source of an unconfirmed move is attached. */
  isSourcePresent(lease: UnconfirmedLease): boolean;
}

export class LeaseKeeper implements Disposable {
  private readonly world: LeaseKeeperWorld;
  private present: Lease;
  /** The stored record lags behind the lease, but only in something that a restart may forget. */
  private behind = false;
  /** A sign of life that came but is not stored yet, and whether its host asked for an answer. */
  private unstoredLife: { readonly hostId: HostId; readonly epoch: LeaseEpoch; asked: boolean } | null = null;
  private timer: Disposable | null = null;

  constructor(lease: Lease, world: LeaseKeeperWorld) {
    this.present = lease;
    this.world = world;
  }

  get lease(): Lease {
    return this.present;
  }

  dispose(): void {
    this.timer?.dispose();
    this.timer = null;
  }

  /** False if the change could not be stored. Then it has not taken place: it is refused, or tried again every STORE_AGAIN_MS. */
  apply(event: LeaseEvent): boolean {
    // Once a sign of life has arrived, nobody takes the VM back, whether it is stored yet or not.
    if (this.unstoredLife !== null && (event.type === 'confirm-expired' || event.type === 'source-returned')) return false;
    const before = this.present;
    const { lease, effects } = stepLease(before, event);
    const refusal = this.store(before, lease);
    if (refusal !== null) {
      this.notStored(event, refusal);
      return false;
    }
    this.present = lease;
    this.world.stepped(event, before, lease, effects);
    for (const effect of effects) {
      if (effect.type === 'commit-waited') this.apply(effect.commit);
      else this.world.perform(effect);
    }
    if (before.ownerHostId !== lease.ownerHostId) this.world.ownerChanged();
    return true;
  }

  /**
   * Stores the lease before anybody hears of it. Only one fact may be stored later: that a migration ended with the
   * source as owner. A restart that forgets this fact also forgets the hold, and without a hold that migration cannot
   * commit either.
   */
  private store(before: Lease, lease: Lease): StoreRefusal | null {
    const unconfirmed = (of: Lease): boolean => of.state === 'committed-unconfirmed';
    const changesHands = before.epoch !== lease.epoch || unconfirmed(before) !== unconfirmed(lease);
    if (!changesHands && before.ended === lease.ended) return null;
    try {
      this.world.store(storedLease(lease), hostsOf(lease));
      this.behind = false;
    } catch (error) {
      if (!(error instanceof StoreRefusal)) throw error;
      if (changesHands) return error;
      this.behind = true;
      this.storeLater();
    }
    return null;
  }

  private notStored(event: LeaseEvent, refusal: StoreRefusal): void {
    if (event.type === 'commit') {
      this.world.perform({ type: 'refuse', request: 'commit', toHostId: event.hostId, migrationId: event.migrationId, reason: refusal.sentence });
      return;
    }
    if (event.type === 'confirm-expired' && this.present.state === 'committed-unconfirmed') this.present = { ...this.present, expired: true };
    this.storeLater();
  }

  /** The port gave a sign of life. True once it is stored, or if none was awaited. */
  signOfLife(hostId: HostId, epoch: LeaseEpoch, asked: boolean): boolean {
    // Do not ask the disk again with every frame.
    if (this.unstoredLife !== null) this.unstoredLife.asked ||= asked;
    else if (!this.apply({ type: 'alive', hostId, epoch })) this.unstoredLife = { hostId, epoch, asked };
    return this.unstoredLife === null;
  }

  private storeLater(): void {
    this.timer ??= this.world.clock.setTimeout(() => {
      this.timer = null;
      this.storeAgain();
    }, STORE_AGAIN_MS);
  }

  private storeAgain(): void {
    const { present: lease, unstoredLife } = this;
    if (unstoredLife !== null && lease.state === 'committed-unconfirmed') {
      const { hostId, epoch, asked } = unstoredLife;
      if (!this.apply({ type: 'alive', hostId, epoch })) return;
      this.unstoredLife = null;
      if (asked) this.apply({ type: 'who-owns', hostId, migrationId: lease.migrationId });
    } else if (lease.state === 'committed-unconfirmed' && lease.expired && this.world.isSourcePresent(lease)) {
      this.apply({ type: 'source-returned', hostId: lease.sourceHostId });
    } else if (this.behind) {
      try {
        this.world.store(storedLease(lease), hostsOf(lease));
        this.behind = false;
      } catch (error) {
        if (!(error instanceof StoreRefusal)) throw error;
        this.storeLater();
      }
    }
  }
}

/** Hosts that a lease names: their tokens must outlive a restart. */
export function hostsOf(lease: Lease): HostId[] {
  return lease.state === 'committed-unconfirmed' ? [lease.ownerHostId, lease.sourceHostId] : [lease.ownerHostId];
}

/** A hold exists only in this process's memory: after a restart the owner has the lease, as if there had been no hold. */
export function storedLease(lease: Lease): StoredLease {
  const base = { ownerHostId: lease.ownerHostId, epoch: lease.epoch, ended: [...lease.ended] };
  if (lease.state !== 'committed-unconfirmed') return { state: 'owned', ...base };
  const { migrationId, sourceHostId, sourceEpoch } = lease;
  return { state: 'committed-unconfirmed', ...base, migrationId, sourceHostId, sourceEpoch };
}

export function leaseFrom(vmId: VmId, stored: StoredLease): Lease {
  const base = {
    vmId,
    ownerHostId: stored.ownerHostId as HostId,
    epoch: stored.epoch as LeaseEpoch,
    ended: stored.ended.map((entry) => ({
      migrationId: entry.migrationId as MigrationId,
      sourceHostId: entry.sourceHostId as HostId,
      sourceEpoch: entry.sourceEpoch as LeaseEpoch,
      how: entry.how,
    })),
  };
  if (stored.state === 'owned') return { state: 'owned', ...base };
  return {
    state: 'committed-unconfirmed',
    ...base,
    expired: false,
    migrationId: stored.migrationId as MigrationId,
    sourceHostId: stored.sourceHostId as HostId,
    sourceEpoch: stored.sourceEpoch as LeaseEpoch,
  };
}
