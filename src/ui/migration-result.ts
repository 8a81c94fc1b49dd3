import { reportLevel } from '../host/report-text.ts';
import type { MigrationReport } from '../migration/report.ts';
import { el, setAttribute, setText, show, type Component } from './dom.ts';
import { formatBytes, formatCount, formatMs } from './format.ts';
import { figuresLine } from './log-model.ts';
import { hostName, lastEndedOf, migrationOf, type Scene } from './scene.ts';

/** How the last migration of the VM shown went; stays until the next begins. */
export function migrationResult(): Component<Scene> {
  const pause = el('p', { class: 'result-pause' });
  const words = el('p', { class: 'result-words' });
  const rest = el('p', { class: 'result-figures' });
  const table = el('div', { class: 'rounds-place' });
  const details = el('details', {}, el('summary', {}, 'Round by round'), table);
  const element = el('section', { class: 'result', 'data-testid': 'migration-result', 'aria-label': 'Last migration' }, pause, words, rest, details);
  let drawn: string | null = null;
  return {
    element,
    update(scene) {
      const vm = scene.selected;
      const report = vm === null || migrationOf(scene.view, vm.id) !== null ? null : (lastEndedOf(scene.view, vm.id)?.report ?? null);
      show(element, report !== null);
      if (report === null || drawn === report.id) return;
      drawn = report.id;
      setAttribute(element, 'data-level', reportLevel(report));
      setAttribute(element, 'data-outcome', report.outcome);
      setAttribute(element, 'data-migration-id', report.id);
      const completed = report.outcome === 'completed';
      setText(pause, completed ? `${formatMs(report.pauseMs)} pause` : report.outcome === 'cancelled' ? 'Cancelled' : 'Did not move');
      setText(words, completed ? `Last move: ${hostName(scene, report.from)} → ${hostName(scene, report.to)}` : (report.reason ?? 'The move was ended.'));
      setText(rest, completed ? figuresLine(report) : '');
      show(rest, completed);
      show(details, report.rounds.length > 0);
      table.replaceChildren(roundTable(report));
    },
    dispose() {
      /* holds nothing */
    },
  };
}

function roundTable(report: MigrationReport): HTMLTableElement {
  const heads = ['Round', 'Pages', 'Bytes', 'Time', 'Written meanwhile'];
  return el(
    'table',
    { class: 'rounds' },
    el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
    el(
      'tbody',
      {},
      ...report.rounds.map((round, index) =>
        el(
          'tr',
          {},
          el('th', { scope: 'row' }, String(index + 1)),
          el('td', {}, formatCount(round.pages)),
          el('td', {}, formatBytes(round.bytes)),
          el('td', {}, formatMs(round.ms)),
          el('td', {}, formatCount(round.dirtied)),
        ),
      ),
    ),
  );
}
