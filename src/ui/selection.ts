/** Which VM the console shows. */
import type { VmView } from '../host/scripting-interface.ts';

export interface Selection {
  readonly vmId: string | null;
  /** VMs that were here at the last look; a VM here that is not among them has just arrived. */
  readonly hereBefore: readonly string[];
}

export const NOTHING_SELECTED: Selection = { vmId: null, hereBefore: [] };

/**
 * The next selection. The selected VM stays selected, even when it moved away (its place shows "Moved to …"), with one
 * exception: a VM that arrives here takes the console, unless the VM shown runs here too or somebody types into it.
 */
export function nextSelection(previous: Selection, vms: readonly VmView[], consoleHasFocus = false): Selection {
  const here = vms.filter((vm) => vm.here).map((vm) => vm.id);
  const shown = vms.find((vm) => vm.id === previous.vmId);
  const arrived = here.find((id) => !previous.hereBefore.includes(id));
  const vmId =
    shown !== undefined && (shown.here || consoleHasFocus || arrived === undefined)
      ? shown.id
      : (arrived ?? here[0] ?? vms.find((vm) => vm.movedAway)?.id ?? vms[0]?.id ?? null);
  return { vmId, hereBefore: here };
}
