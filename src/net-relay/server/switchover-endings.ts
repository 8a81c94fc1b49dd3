/** What hosts say about a VM's end during a switchover, when another host may still get the VM; decides when the VM has ended (NR29). */
import type { HostId } from '../../shared/ids.ts';
import { mayCommit, type Lease } from '../arbiter/lease-table.ts';
import type { Ending } from '../protocol/relay-protocol.ts';

/** What an owner said about its VM's end; null if the VM never came to be. */
export interface OwnersEnding {
  readonly hostId: HostId;
  readonly ending: Ending | null;
}

/** For this many beats of a second, a target may still take a VM whose owner ended it; fewer while no target is attached. */
const COMMIT_AFTER_END_BEATS = 60;
const COMMIT_AFTER_END_BEATS_WITHOUT_TARGET = 10;
/** For this many beats, a source may still come back for a VM that its target ended without a sign of life. */
const SOURCE_AFTER_END_BEATS = 60;

export class SwitchoverEndings {
  private readonly told = new Map<HostId, OwnersEnding>();
  private beats = 0;

  /** The lease's holder has ended the VM. */
  add(ending: OwnersEnding): void {
    if (!this.told.has(ending.hostId)) this.beats = 0;
    this.told.set(ending.hostId, ending);
  }

  /** What this host said no longer counts: it is given the VM again, or the VM was taken from it. */
  forget(hostId: HostId): void {
    this.told.delete(hostId);
  }

  /** Called once a beat: how the VM ended, if nobody can get it any more. `hasTarget`: a target is attached. */
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
