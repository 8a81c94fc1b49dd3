/** A move that was asked for in this tab, by its page or by another tab, until its report is known. */
import { settlable } from '../migration/settlable.ts';
import type { HostId, VmId } from '../shared/ids.ts';

export class MoveWish {
  readonly vmId: VmId;
  /** The tab that was asked, and the id of that request; null while nobody was asked. */
  asked: { readonly owner: HostId; readonly requestId: string } | null = null;
  isCancelled = false;
  private readonly cancelling = settlable<null>();

  constructor(vmId: VmId) {
    this.vmId = vmId;
  }

  /** Resolves once it is. */
  get cancelled(): Promise<null> {
    return this.cancelling.promise;
  }

  cancel(): void {
    this.isCancelled = true;
    this.cancelling.resolve(null);
  }
}
