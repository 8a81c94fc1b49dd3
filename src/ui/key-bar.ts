import { DisposableBag } from '../shared/disposable.ts';
import { el, listen, type Component } from './dom.ts';
import type { Actions, Scene } from './scene.ts';

/** Keys a telephone's keyboard does not have, and what a terminal sends for them. */
const KEYS: readonly (readonly [label: string, name: string, text: string])[] = [
  ['Esc', 'Escape', '\x1b'],
  ['Tab', 'Tab', '\t'],
  ['^C', 'Control C', '\x03'],
  ['^D', 'Control D', '\x04'],
  ['↑', 'Arrow up', '\x1b[A'],
  ['↓', 'Arrow down', '\x1b[B'],
  ['←', 'Arrow left', '\x1b[D'],
  ['→', 'Arrow right', '\x1b[C'],
];

/** A row of keys under the console; the style sheet shows it only where the pointer is a finger. */
export function keyBar(actions: Actions): Component<Scene> {
  const bag = new DisposableBag();
  let vmId: string | null = null;
  const element = el('div', { class: 'key-bar', role: 'group', 'aria-label': 'Keys' });
  for (const [label, name, text] of KEYS) {
    const key = el('button', { type: 'button', class: 'key', 'aria-label': name }, label);
    // The terminal keeps the focus, so that the keyboard on the screen stays open.
    bag.add(listen(key, 'pointerdown', (event) => event.preventDefault()));
    bag.add(listen(key, 'click', () => {
      if (vmId !== null) actions.tab.console(vmId).write(text);
    }));
    element.append(key);
  }
  return {
    element,
    update(scene) {
      vmId = scene.selected?.id ?? null;
    },
    dispose: () => bag.dispose(),
  };
}
