import { el, setAttribute, setText, show, type Component } from './dom.ts';
import { formatMs } from './format.ts';
import { figuresAfterPause, reportLevel } from './log-model.ts';
import { hostName, lastReportOf, migrationOf, type Scene } from './scene.ts';

/** How the last migration of the VM shown went; stays until the next begins. */
export function migrationResult(): Component<Scene> {
  const pause = el('p', { class: 'result-pause' });
  const words = el('p', { class: 'result-words' });
  const rest = el('p', { class: 'result-figures' });
  const element = el('section', { class: 'result', 'aria-label': 'Last migration' }, pause, words, rest);
  let drawn: string | null = null;
  return {
    element,
    update(scene) {
      const vm = scene.selected;
      const report = vm === null || migrationOf(scene.view, vm.id) !== null ? null : lastReportOf(scene.view, vm.id);
      show(element, report !== null);
      if (report === null || drawn === report.id) return;
      drawn = report.id;
      setAttribute(element, 'data-level', reportLevel(report));
      const completed = report.outcome === 'completed';
      show(rest, completed);
      setText(pause, completed ? `${formatMs(report.pauseMs)} pause` : report.outcome === 'cancelled' ? 'Cancelled' : 'Did not move');
      setText(words, completed
        ? `Last move: ${hostName(scene, report.from)} → ${hostName(scene, report.to)}`
        : report.reason ?? 'The move was ended.');
      setText(rest, figuresAfterPause(report).join(' · '));
    },
    dispose() { /* holds nothing */ },
  };
}
