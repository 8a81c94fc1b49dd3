import { DisposableBag } from '../shared/disposable.ts';
import { el, listen, setText, show, type Component } from './dom.ts';
import type { Scene } from './scene.ts';

/** Replaces everything else: why this page cannot continue, and what to do. */
export function troublePanel(): Component<Scene> {
  const words = el('p', { class: 'trouble-words' });
  const again = el('button', { type: 'button', class: 'button primary' }, 'Try again');
  const element = el('section', { class: 'trouble', role: 'alert', 'data-testid': 'trouble' }, el('h2', {}, 'This page cannot go on'), words, again);
  const bag = new DisposableBag();
  listen(bag, again, 'click', () => location.reload());
  return {
    element,
    update({ view }) {
      show(element, view.trouble !== null);
      setText(words, view.trouble ?? '');
    },
    dispose: () => bag.dispose(),
  };
}
