import { DisposableBag } from '../shared/disposable.ts';
import { el, setText, show, type Component } from './dom.ts';
import { formatMemory } from './format.ts';
import { migrateControl } from './migrate-control.ts';
import { migrationProgress } from './migration-progress.ts';
import { migrationResult } from './migration-result.ts';
import { pingStrip, type PingStrip } from './ping-strip.ts';
import { reach } from './reach.ts';
import { hostName, type Actions, type Scene } from './scene.ts';

/** Everything about the VM shown beside its console: move it, how that goes, its pings, how to reach it. */
export function vmPanel(actions: Actions): Component<Scene> & { tick(scene: Scene): void } {
  const bag = new DisposableBag();
  const name = el('h2', { class: 'vm-name' });
  const facts = el('p', { class: 'vm-facts' });
  const control = bag.add(migrateControl(actions));
  const progress = bag.add(migrationProgress(actions));
  const result = bag.add(migrationResult());
  const reaching = bag.add(reach());
  const pingPlace = el('div', {});
  const pings = el('section', { class: 'pings', 'aria-label': 'Pings' }, el('h3', {}, 'Pinged by the network, last 60 s'), pingPlace);
  const element = el('div', { class: 'vm-panel' },
    el('div', { class: 'vm-title' }, name, facts),
    el('div', { class: 'moving' }, control.element, progress.element, result.element), pings, reaching.element);
  let strip: { readonly vmId: string; readonly strip: PingStrip } | null = null;

  function drawPings(scene: Scene): void {
    const vm = scene.selected;
    if (strip !== null && strip.vmId !== vm?.id) {
      strip.strip.dispose();
      strip = null;
    }
    show(pings, vm !== null && !vm.ended);
    if (vm === null) return;
    if (strip === null) {
      strip = { vmId: vm.id, strip: pingStrip(vm.id, { words: true }) };
      pingPlace.replaceChildren(strip.strip.element);
    }
    strip.strip.draw(scene.pings(vm.id));
  }

  return {
    element,
    update(scene) {
      const vm = scene.selected;
      show(element, vm !== null);
      if (vm !== null) {
        setText(name, vm.name);
        setText(facts, `${formatMemory(vm.memoryBytes)} · ${vm.ip} · in ${hostName(scene, vm.hostId)}`);
      }
      control.update(scene);
      progress.update(scene);
      result.update(scene);
      reaching.update(scene);
      drawPings(scene);
    },
    tick: drawPings,
    dispose() {
      strip?.strip.dispose();
      bag.dispose();
    },
  };
}
