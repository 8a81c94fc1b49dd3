/** What the page calls things: states, phases and links in plain English. */
import type { LinkKind, MigrationProgress } from '../migration/report.ts';
import type { VmView } from '../host/scripting-interface.ts';
import { assertNever } from '../shared/assert-never.ts';

/** Shown beside the console's title: how much typed input has not arrived yet; empty for none. */
export function typedWaitingText(characters: number): string {
  if (characters === 0) return '';
  return characters === 1 ? '1 typed character is on its way' : `${characters} typed characters are on their way`;
}

/** The word on a VM's chip. */
export function vmStateWord(vm: VmView): string {
  if (vm.ended) return 'off';
  if (!vm.ownerPresent) return 'its tab is away';
  // During a migration that waits for something, the VM still runs; "waiting" is only for a VM that is stopped.
  if (vm.waitingFor !== null && vm.state !== 'migrating') return 'waiting';
  switch (vm.state) {
    case 'starting':
      return 'starting';
    case 'running':
      return 'running';
    case 'paused':
      return 'paused';
    case 'migrating':
      return 'moving';
    default:
      return assertNever(vm.state);
  }
}

/** What happens in a phase, for a person who sees it for the first time. */
export function phaseSentence({ phase, round, targetLoaded }: Pick<MigrationProgress, 'phase' | 'round' | 'targetLoaded'>): string {
  switch (phase) {
    case 'offer':
      if (targetLoaded !== undefined) return `The other side is still loading the PC, ${Math.floor(targetLoaded * 100)} %`;
      return 'Asking the other side whether the PC fits';
    case 'prepare':
      return 'The other side gets an empty PC ready';
    case 'rounds':
      return round <= 1 ? 'Copying memory while the PC works' : 'Copying what changed meanwhile';
    case 'hold':
      return 'Network traffic waits for a moment';
    case 'switchover':
      return 'Handing over the last pages';
    case 'commit':
      return 'The other side takes over';
    case 'done':
      return 'Moved';
    default:
      return assertNever(phase);
  }
}

/** About a host: a PC that moves there waits until the host has loaded what it needs. */
export const STILL_LOADING = 'loading the PC …';

/** How two tabs reach each other. */
export function linkWord(link: LinkKind | 'trying'): string {
  switch (link) {
    case 'webrtc':
      return 'direct (WebRTC)';
    case 'relay':
      return 'through the server';
    case 'local':
      return 'inside this browser';
    case 'trying':
      return 'connecting …';
    default:
      return assertNever(link);
  }
}
