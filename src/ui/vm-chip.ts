import { DisposableBag } from '../shared/disposable.ts';
import type { VmView } from '../host/scripting-interface.ts';
import { el, listen, setAttribute, setText, type Component } from './dom.ts';
import { pingStrip } from './ping-strip.ts';
import { progressFraction } from './progress-model.ts';
import { migrationOf, type Actions, type Scene } from './scene.ts';
import { vmStateWord } from './words.ts';

export interface ChipScene {
  readonly vm: VmView;
  readonly scene: Scene;
}

/** A VM on its host's card; the same element moves to another card when the VM moves. */
export function vmChip(vmId: string, actions: Actions): Component<ChipScene> & { tick(scene: Scene): void } {
  const bag = new DisposableBag();
  const name = el('span', { class: 'chip-name' });
  const state = el('span', { class: 'chip-state' });
  const ip = el('span', { class: 'chip-ip' });
  const strip = bag.add(pingStrip(vmId, { title: null }));
  const fill = el('span', { class: 'chip-fill', 'aria-hidden': 'true' });
  const element = el(
    'button',
    { type: 'button', class: 'chip', draggable: 'true', 'data-testid': 'vm-chip', 'data-vm-id': vmId, 'data-hue': String(hueOf(vmId)) },
    fill,
    el('span', { class: 'chip-top' }, el('span', { class: 'chip-dot', 'aria-hidden': 'true' }), name, state),
    el('span', { class: 'chip-bottom' }, ip, strip.element),
  );
  listen(bag, element, 'click', () => actions.select(vmId));
  listen(bag, element, 'dragstart', (event) => {
    event.dataTransfer?.setData(VM_MIME, vmId);
    if (event.dataTransfer !== null) event.dataTransfer.effectAllowed = 'move';
  });
  return {
    element,
    update({ vm, scene }) {
      setText(name, vm.name);
      setText(state, vmStateWord(vm));
      setText(ip, vm.ip);
      setAttribute(element, 'data-state', vm.ended ? 'ended' : vm.state);
      setAttribute(element, 'data-waiting', !vm.ownerPresent || (vm.waitingFor !== null && vm.state !== 'migrating'));
      setAttribute(element, 'aria-pressed', String(scene.selected?.id === vm.id));
      setAttribute(element, 'title', `${vm.name}, ${vm.ip}: ${vmStateWord(vm)}. Click to see its console; drag it to another tab's card to move it.`);
      const migration = migrationOf(scene.view, vm.id);
      const fraction = migration === null ? null : progressFraction(migration);
      // The part that has already been sent turns pale.
      fill.style.transform = `scaleX(${fraction ?? 0})`;
    },
    tick: (scene) => strip.draw(scene.pings(vmId)),
    dispose: () => bag.dispose(),
  };
}

/** Drag-and-drop type of a VM; a host's card accepts only this. */
export const VM_MIME = 'application/x-tabmotion-vm';

/** Number of colours that distinguish several VMs. */
const HUES = 5;

/** Always the same for a VM, in every tab. */
export function hueOf(vmId: string): number {
  let sum = 0;
  for (const letter of vmId) sum = (sum * 31 + letter.charCodeAt(0)) % 65_521;
  return sum % HUES;
}
