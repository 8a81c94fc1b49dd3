/** Which host has a VM: the relay's news of a move may reach a tab before or after the news of the VM's own worker. */
import type { HostId } from '../shared/ids.ts';

export interface OwnerNews {
  readonly self: HostId;
  /** The lease's holder in the relay's latest list; null if the list has no such VM. */
  readonly listed: HostId | null;
  /** The VM's worker in this tab, if there is one; `arriving` until it runs here. */
  readonly here: 'arriving' | 'settled' | null;
  /** Where a VM that ran here went; null if none did. */
  readonly movedTo: HostId | null;
}

/** The host that has the VM now; null if nobody is known to. */
export function vmOwner({ self, listed, here, movedTo }: OwnerNews): HostId | null {
  if (here === 'settled') return self;
  if (here === 'arriving' || (listed !== null && listed !== self)) return listed;
  return movedTo ?? listed;
}
