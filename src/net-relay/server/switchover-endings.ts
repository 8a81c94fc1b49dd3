/** What hosts say of a VM's end while a switchover is on, in which another may still have it; and when it has ended by that (NR29). */
import type { HostId } from '../../shared/ids.ts';
import { mayCommit, type Lease } from '../arbiter/lease-table.ts';
import type { Ending } from '../protocol/relay-protocol.ts';

/** What its owner said of a VM's end; null of one that never came to be. */
export interface OwnersEnding {
  readonly hostId: HostId;
  readonly ending: Ending | null;
}

/** Beats of a second in which a target may still take a VM whose owner ended it; fewer while none is attached. */
const COMMIT_AFTER_END_BEATS = 60;
const COMMIT_AFTER_END_BEATS_WITHOUT_TARGET = 10;
/** In which a source may still come back for a VM that its target ended without a sign of life. */
const SOURCE_AFTER_END_BEATS = 60;

export class SwitchoverEndings {
  private readonly told = new Map<HostId, OwnersEnding>();
  private beats = 0;

  /** The lease's holder has ended it. */
  add(ending: OwnersEnding): void {
    if (!this.told.has(ending.hostId)) this.beats = 0;
    this.told.set(ending.hostId, ending);
  }

  /** What this host has said is of no account any more: it is given the VM anew, or it was taken from it. */
  forget(hostId: HostId): void {
    this.told.delete(hostId);
  }

  /** Once a beat: how the VM ended, if nobody is left to have it. `hasTarget`: a target is attached. */
  ended(lease: Lease, hasTarget: boolean): OwnersEnding | null {
    const ending = this.told.get(lease.ownerHostId) ?? null;
    if (lease.state === 'committed-unconfirmed') {
      if (ending === null) return null;
      return this.told.has(lease.sourceHostId) || ++this.beats >= SOURCE_AFTER_END_BEATS ? ending : null;
    }
    if (ending === null) {
      this.told.clear();
      return null;
    }
    if (!mayCommit(lease)) return ending;
    return ++this.beats < (hasTarget ? COMMIT_AFTER_END_BEATS : COMMIT_AFTER_END_BEATS_WITHOUT_TARGET) ? null : ending;
  }
}
