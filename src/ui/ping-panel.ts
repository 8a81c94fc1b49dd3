import { el, show, type Component } from './dom.ts';
import { pingStrip, type PingStrip } from './ping-strip.ts';
import type { Scene } from './scene.ts';

/** The pings of the VM shown, large, with what they say in words. */
export function pingPanel(): Component<Scene> & { tick(scene: Scene): void } {
  const place = el('div', {});
  const element = el('section', { class: 'card pings', 'aria-label': 'Pings' }, place);
  let shown: { readonly vmId: string; readonly strip: PingStrip } | null = null;

  function tick(scene: Scene): void {
    const vm = scene.selected;
    if (vm !== null) shown?.strip.draw(scene.pings(vm.id));
  }

  return {
    element,
    update(scene) {
      const vm = scene.selected;
      show(element, vm !== null && !vm.ended);
      if (vm === null || shown?.vmId === vm.id) return;
      shown?.strip.dispose();
      shown = { vmId: vm.id, strip: pingStrip(vm.id, { title: 'Pings, last 60 s' }) };
      place.replaceChildren(shown.strip.element);
      tick(scene);
    },
    tick,
    dispose: () => shown?.strip.dispose(),
  };
}
