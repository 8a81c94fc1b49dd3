import { DisposableBag } from '../shared/disposable.ts';
import { listen, el, setAttribute, setText, show, type Component } from './dom.ts';
import { formatBytes, formatCount, formatRate } from './format.ts';
import { canCancel, pauseWords, progressFraction, stepOf, STEPS } from './progress-model.ts';
import { hostName, migrationOf, type Actions, type Scene } from './scene.ts';
import { phaseSentence } from './words.ts';

/** A migration while it runs: the phase in words, how far it is, its figures, and Cancel. */
export function migrationProgress(actions: Actions): Component<Scene> {
  const title = el('h3', {});
  const phase = el('p', { class: 'phase' });
  const fill = el('span', { class: 'bar-fill' });
  const bar = el(
    'div',
    { class: 'bar', role: 'progressbar', 'aria-label': 'Pages sent, of those known so far', 'aria-valuemin': '0', 'aria-valuemax': '100' },
    fill,
  );
  const steps = STEPS.map((step) => el('li', {}, step));
  const round = figure('Round');
  const left = figure('Pages left');
  const rate = figure('Rate');
  const sent = figure('Sent');
  const pause = figure('Expected pause');
  const cancel = el('button', { type: 'button', class: 'button', 'data-testid': 'cancel-button' }, 'Cancel');
  const element = el(
    'section',
    { class: 'progress', 'data-testid': 'progress', 'aria-label': 'Migration' },
    title,
    phase,
    bar,
    el('ol', { class: 'steps' }, ...steps),
    el('dl', { class: 'figures' }, round.element, left.element, rate.element, sent.element, pause.element, el('div', { class: 'cancel' }, cancel)),
  );
  let vmId = '';
  const bag = new DisposableBag();
  listen(bag, cancel, 'click', () => actions.cancel(vmId));
  return {
    element,
    update(scene) {
      const vm = scene.selected;
      const progress = vm === null ? null : migrationOf(scene.view, vm.id);
      show(element, progress !== null);
      if (progress === null || vm === null) return;
      vmId = vm.id;
      setText(title, `${vm.name} → ${hostName(scene, progress.to)}`);
      setText(phase, vm.waitingFor ?? phaseSentence(progress));
      setAttribute(phase, 'data-waiting', vm.waitingFor !== null);
      setAttribute(element, 'data-phase', progress.phase);
      const fraction = progressFraction(progress);
      setAttribute(bar, 'data-unknown', fraction === null);
      setAttribute(bar, 'aria-valuenow', fraction === null ? null : String(Math.floor(fraction * 100)));
      fill.style.transform = `scaleX(${fraction ?? 0})`;
      const at = stepOf(progress.phase);
      steps.forEach((step, index) => setAttribute(step, 'data-step', index < at ? 'done' : index === at ? 'now' : 'later'));
      const counted = fraction !== null;
      round.set(progress.round > 0 ? formatCount(progress.round) : '–');
      left.set(counted ? formatCount(progress.pagesLeft) : '–');
      rate.set(formatRate(progress.bytesPerSecond));
      sent.set(formatBytes(progress.bytesSent));
      pause.set(pauseWords(progress));
      cancel.disabled = !canCancel(progress.phase);
      setAttribute(cancel, 'title', cancel.disabled ? 'Too late: the other side is taking over.' : null);
    },
    dispose: () => bag.dispose(),
  };
}

function figure(label: string): { readonly element: HTMLElement; set(value: string): void } {
  const value = el('dd', {}, '–');
  return { element: el('div', {}, el('dt', {}, label), value), set: (text) => setText(value, text) };
}
