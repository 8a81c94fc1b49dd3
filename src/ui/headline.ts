import { el, setAttribute, setText, type Component } from './dom.ts';
import { headline as headlineOf } from './headline-model.ts';
import type { Scene } from './scene.ts';

/** The sentence at the top. It is the page's live region: a screen reader hears what a spectator sees. */
export function headline(): Component<Scene> {
  const text = el('p', { class: 'headline-text' });
  const detail = el('p', { class: 'headline-detail' });
  const element = el('div', { class: 'headline', role: 'status', 'aria-live': 'polite', 'data-testid': 'headline' }, text, detail);
  return {
    element,
    update(scene) {
      const next = headlineOf(scene, Date.now());
      setText(text, next.text);
      setText(detail, next.detail);
      setAttribute(element, 'data-tone', next.tone);
    },
    dispose() {
      /* holds nothing */
    },
  };
}
