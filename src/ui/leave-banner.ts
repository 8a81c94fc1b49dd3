import { DisposableBag } from '../shared/disposable.ts';
import { el, listen, placeChildren, setText, show, type Component } from './dom.ts';
import { hostName, targetsOf, type Actions, type Scene } from './scene.ts';

/** Shown to somebody who was about to close this tab: what would be lost, and where it could go instead. */
export function leaveBanner(actions: Actions): Component<Scene> {
  const bag = new DisposableBag();
  const words = el('p', {});
  const move = el('button', { type: 'button', class: 'button primary' });
  const stay = el('button', { type: 'button', class: 'button' }, 'Stay here');
  const row = el('div', { class: 'row' });
  const element = el('div', { class: 'banner', role: 'alert' }, words, row);
  let moves: { readonly vmId: string; readonly hostId: string }[] = [];
  listen(bag, move, 'click', () => {
    for (const { vmId, hostId } of moves) actions.migrate(vmId, hostId);
    actions.stay();
  });
  listen(bag, stay, 'click', () => actions.stay());
  return {
    element,
    update(scene) {
      const here = scene.view.vms.filter((vm) => vm.here && !vm.ended);
      show(element, scene.leaving && here.length > 0);
      const first = here[0];
      if (!scene.leaving || first === undefined) return;
      const target = targetsOf(scene.view, first)[0];
      moves = target === undefined ? [] : here.map((vm) => ({ vmId: vm.id, hostId: target.id }));
      const names = here.map((vm) => vm.name).join(', ');
      setText(
        words,
        target === undefined
          ? `Closing this tab ends ${names}: a PC lives in the memory of the tab that runs it. Open the invitation elsewhere first, and move it there.`
          : `Closing this tab ends ${names}: a PC lives in the memory of the tab that runs it. Move it first?`,
      );
      if (target !== undefined) setText(move, `Move to ${hostName(scene, target.id)}`);
      placeChildren(row, target === undefined ? [stay] : [move, stay]);
    },
    dispose: () => bag.dispose(),
  };
}
