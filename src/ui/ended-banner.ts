import { DisposableBag } from '../shared/disposable.ts';
import type { EndedVmView } from '../host/scripting-interface.ts';
import { el, keyedList, listen, setText, show, type Component } from './dom.ts';
import { endedWords } from './ended-model.ts';
import { formatTime } from './format.ts';
import type { Actions, Scene } from './scene.ts';

/** The room's ended VMs and why they ended, until somebody has read it. */
export function endedBanner(actions: Actions): Component<Scene> {
  const bag = new DisposableBag();
  const list = el('ul', { class: 'ended-list' });
  const also = el('p', {});
  const start = el('button', { type: 'button', class: 'button primary', 'data-testid': 'start-new' }, 'Start a new PC');
  const dismiss = el('button', { type: 'button', class: 'button', 'data-testid': 'dismiss-ended' }, 'Dismiss');
  const element = el(
    'div',
    { class: 'banner ended', 'data-testid': 'ended', 'aria-live': 'polite' },
    el('div', {}, list, also),
    el('div', { class: 'row' }, start, dismiss),
  );
  const lines = bag.add(keyedList<EndedVmView>(list, ({ id }) => id, endedLine));
  let ids: readonly string[] = [];
  listen(bag, start, 'click', () => actions.startVm());
  listen(bag, dismiss, 'click', () => actions.dismissEnded(ids));
  return {
    element,
    update(scene) {
      const words = endedWords(scene);
      show(element, words !== null);
      ids = scene.view.endedVms.map(({ id }) => id);
      lines.update(words?.shown ?? []);
      setText(also, words?.also ?? '');
      show(also, also.textContent !== '');
      show(start, words?.offersStart === true);
    },
    dispose: () => bag.dispose(),
  };
}

function endedLine(vm: EndedVmView): Component<EndedVmView> {
  const element = el('li', {}, el('time', { datetime: new Date(vm.at).toISOString() }, formatTime(vm.at)), ` ${vm.text}`);
  return {
    element,
    update() {
      /* what ended does not change */
    },
    dispose() {
      /* holds nothing */
    },
  };
}
