/** What the page says about VMs that have ended. */
import type { EndedVmView } from '../host/scripting-interface.ts';
import { plural } from './format.ts';
import type { Scene } from './scene.ts';

export interface EndedWords {
  /** Newest first. */
  readonly shown: readonly EndedVmView[];
  /** Text after these VMs, or ''. */
  readonly also: string;
  /** This tab's own VM is gone and none took its place. */
  readonly offersStart: boolean;
}

/** More lines would push the room out of sight; the log has them all. */
const MAX_SHOWN = 3;

/** null: nothing to say. */
export function endedWords({ view, selected }: Pick<Scene, 'view' | 'selected'>): EndedWords | null {
  const { endedVms, vms, starting } = view;
  if (endedVms.length === 0) return null;
  const more = endedVms.length - MAX_SHOWN;
  const lostHere = endedVms.some(({ wasHere }) => wasHere);
  const runsHere = vms.some((vm) => vm.here && !vm.ended);
  return {
    shown: endedVms.slice(-MAX_SHOWN).reverse(),
    also: [
      ...(more > 0 ? [`The log has ${plural(more, 'more that ended', 'more that ended')}.`] : []),
      ...(lostHere && runsHere ? ['The PC in this tab now is a new one.'] : []),
    ].join(' '),
    // If no VM is shown, the panel over the empty console has the button.
    offersStart: lostHere && !runsHere && starting === null && selected !== null,
  };
}
