import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { el, listen } from './dom.ts';

/** One key of the bar: what a terminal sends for it, and the key of a PC's keyboard, perhaps with Ctrl. */
export interface BarKey {
  readonly label: string;
  readonly name: string;
  readonly text: string;
  readonly code: string;
  readonly control: boolean;
}

/** Keys a telephone's keyboard does not have. */
const KEYS: readonly BarKey[] = [
  { label: 'Esc', name: 'Escape', text: '\x1b', code: 'Escape', control: false },
  { label: 'Tab', name: 'Tab', text: '\t', code: 'Tab', control: false },
  { label: '^C', name: 'Control C', text: '\x03', code: 'KeyC', control: true },
  { label: '^D', name: 'Control D', text: '\x04', code: 'KeyD', control: true },
  { label: '↑', name: 'Arrow up', text: '\x1b[A', code: 'ArrowUp', control: false },
  { label: '↓', name: 'Arrow down', text: '\x1b[B', code: 'ArrowDown', control: false },
  { label: '←', name: 'Arrow left', text: '\x1b[D', code: 'ArrowLeft', control: false },
  { label: '→', name: 'Arrow right', text: '\x1b[C', code: 'ArrowRight', control: false },
];

/** A row of keys under console and screen; the style sheet shows it only where the pointer is a finger. */
export function keyBar(press: (key: BarKey) => void): { readonly element: HTMLElement } & Disposable {
  const bag = new DisposableBag();
  const element = el('div', { class: 'key-bar', role: 'group', 'aria-label': 'Keys' });
  for (const barKey of KEYS) {
    const key = el('button', { type: 'button', class: 'key', 'aria-label': barKey.name }, barKey.label);
    // The focus stays where the person types, so that the on-screen keyboard stays open.
    listen(bag, key, 'pointerdown', (event) => event.preventDefault());
    listen(bag, key, 'click', () => press(barKey));
    element.append(key);
  }
  return { element, dispose: () => bag.dispose() };
}
