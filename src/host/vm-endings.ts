/** Tells the relay which VMs of this tab are over, and repeats it if needed: the relay may be away, or may give such a VM back to this tab later. */
import { wasRefused } from '../net-relay/client/host-client.ts';
import type { Ending, LastWord, VmInfo } from '../net-relay/protocol/relay-protocol.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { HostId, LeaseEpoch, VmId } from '../shared/ids.ts';

/** A relay that cannot store anything does not announce when it can again. */
const TELL_AGAIN_MS = 5000;

export interface EndingsPort {
  /** Rejects with an error for which wasRefused() holds if the VM is not this tab's at this epoch. */
  destroyVm(vmId: VmId, epoch: LeaseEpoch, ending: Ending): Promise<void>;
  /** As the relay lists it. */
  vm(vmId: VmId): VmInfo | undefined;
}

export class VmEndings implements Disposable {
  private readonly self: HostId;
  private readonly room: EndingsPort;
  /** Endings that the relay has not confirmed. */
  private readonly open = new Map<VmId, { readonly ending: Ending; readonly epoch: LeaseEpoch | null; asking: boolean }>();
  private readonly clock: Clock;
  private again: Disposable | null = null;
  private isDisposed = false;

  constructor(self: HostId, room: EndingsPort, clock: Clock) {
    this.clock = clock;
    this.self = self;
    this.room = room;
  }

  /** The VM is over as of this epoch. Resolves with true if another host owns it by now, so it is not over. Never rejects. */
  async tell(vmId: VmId, epoch: LeaseEpoch, ending: Ending): Promise<boolean> {
    const entry = { ending, epoch, asking: true };
    this.open.set(vmId, entry);
    try {
      await this.room.destroyVm(vmId, epoch, ending);
      if (this.open.get(vmId) === entry) this.open.delete(vmId);
      return false;
    } catch (error) {
      entry.asking = false;
      this.tellAgainLater();
      const listed = this.room.vm(vmId);
      // If the list still names this tab at the refused epoch, the list is outdated.
      return wasRefused(error) && listed !== undefined && (listed.hostId !== this.self || listed.epoch === (epoch as number));
    }
  }

  /** The VM was on its way here; it is over if the relay lists it as this tab's, now or later. */
  isOverIfHere(vmId: VmId, ending: Ending): void {
    this.open.set(vmId, { ending, epoch: null, asking: false });
    this.tellAgain();
  }

  /** The VM is on its way here again, alive: if the relay lists it as this tab's, the relay is right. */
  isComing(vmId: VmId): void {
    this.open.delete(vmId);
  }

  /** The relay's list has changed, or it is back. */
  tellAgain(): void {
    for (const [vmId, ending, listed] of this.untold()) void this.tell(vmId, listed.epoch as LeaseEpoch, ending);
  }

  /** The endings that the relay has not confirmed, of VMs that this tab owned at these epochs. */
  unconfirmed(): LastWord['vms'] {
    return [...this.open].flatMap(([vmId, { ending, epoch }]) => (epoch === null ? [] : [{ vmId, epoch, ending }]));
  }

  /** From now on, endings are told only once. */
  dispose(): void {
    this.isDisposed = true;
    this.again?.dispose();
    this.again = null;
  }

  private tellAgainLater(): void {
    if (this.isDisposed || this.again !== null || this.untold().length === 0) return;
    this.again = this.clock.setTimeout(() => {
      this.again = null;
      this.tellAgain();
    }, TELL_AGAIN_MS);
  }

  /** Endings that are neither confirmed nor being told now, while the relay lists the VM as this tab's. */
  private untold(): [VmId, Ending, VmInfo][] {
    return [...this.open].flatMap(([vmId, { ending, asking }]) => {
      const listed = this.room.vm(vmId);
      return !asking && listed?.hostId === this.self ? [[vmId, ending, listed]] : [];
    });
  }
}
