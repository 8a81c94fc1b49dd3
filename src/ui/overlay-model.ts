/** What is shown over the console when the console itself does not say enough. */
import type { LogLine, VmView } from '../host/scripting-interface.ts';
import { migrationOf, type Scene } from './scene.ts';

export type Overlay =
  | { readonly kind: 'none' }
  | { readonly kind: 'starting'; readonly text: string; readonly fraction: number | null }
  /** `anew`: this tab had one before it was reloaded. */
  | { readonly kind: 'empty'; readonly anew: boolean }
  | { readonly kind: 'moved'; readonly vm: VmView; readonly returning: boolean }
  | { readonly kind: 'ended'; readonly vm: VmView; readonly why: string };

export function overlayOf(scene: Pick<Scene, 'view' | 'selected' | 'selfId'>): Overlay {
  const { view, selected: vm } = scene;
  if (vm === null)
    return view.starting === null ? { kind: 'empty', anew: view.endedVms.some(({ wasHere }) => wasHere) } : { kind: 'starting', ...view.starting };
  if (vm.ended) return { kind: 'ended', vm, why: whyEnded(view.log, vm.id) ?? 'It was shut down from inside.' };
  if (vm.movedAway && !vm.here) {
    const migration = migrationOf(view, vm.id);
    return { kind: 'moved', vm, returning: migration?.to === scene.selfId };
  }
  if (vm.here && vm.state === 'starting') {
    return { kind: 'starting', ...(view.starting ?? { text: `${vm.name} is starting.`, fraction: null }) };
  }
  return { kind: 'none' };
}

/** The last line of the log about the VM, if it is bad news; null if it ended as a PC should. */
export function whyEnded(log: readonly LogLine[], vmId: string): string | null {
  const last = log.findLast((line) => line.vmId === vmId);
  return last?.level === 'bad' ? last.text : null;
}
