import { el, keyedList, setAttribute, setText, show, type Component } from './dom.ts';
import { formatBytes, formatCount, formatMs, formatTime } from './format.ts';
import { figuresLine, reportSentence, story, type StoryEntry } from './log-model.ts';
import type { MigrationReport } from '../migration/report.ts';
import { hostName, type Scene } from './scene.ts';

interface EntryScene {
  readonly entry: StoryEntry;
  readonly scene: Scene;
}

/** What happened in the room, newest first; a migration can be unfolded to its rounds. */
export function migrationLog(): Component<Scene> {
  const list = el('ol', { class: 'log-list' });
  const nothing = el('p', { class: 'quiet-words' }, 'What happens in this room is written here.');
  const element = el('section', { class: 'card log', 'data-testid': 'migration-log', 'aria-label': 'Log' }, el('h3', {}, 'Log'), nothing, list);
  const entries = keyedList<EntryScene>(list, ({ entry }) => entry.key, ({ entry, scene }) => entryItem(entry, scene));
  return {
    element,
    update(scene) {
      const all = story(scene.view.log, scene.view.reports, scene.seenAt);
      show(nothing, all.length === 0);
      entries.update(all.map((entry) => ({ entry, scene })));
    },
    dispose: () => entries.dispose(),
  };
}

function entryItem(entry: StoryEntry, scene: Scene): Component<EntryScene> {
  const time = el('time', { datetime: new Date(entry.at).toISOString() }, formatTime(entry.at));
  const content = entry.kind === 'line' ? el('p', {}, entry.text) : reportItem(entry.report, scene);
  const element = el('li', { class: 'log-entry' }, time, content);
  setAttribute(element, 'data-level', entry.level);
  return { element, update() { /* an entry never changes */ }, dispose() { /* holds nothing */ } };
}

function reportItem(report: MigrationReport, scene: Scene): HTMLElement {
  const vmName = scene.view.vms.find((vm) => vm.id === report.vmId)?.name ?? report.vmId;
  const sentence = reportSentence(report, vmName, (id) => hostName(scene, id));
  const details = el('details', { 'data-outcome': report.outcome },
    el('summary', {}, sentence,
      report.outcome === 'completed' ? el('span', { class: 'log-figures' }, figuresLine(report)) : null));
  if (report.rounds.length > 0) details.append(roundTable(report));
  else setText(details.appendChild(el('p', { class: 'quiet-words' })), 'No pages were sent.');
  return details;
}

function roundTable(report: MigrationReport): HTMLTableElement {
  const heads = ['Round', 'Pages', 'Bytes', 'Time', 'Written meanwhile'];
  return el('table', { class: 'rounds' },
    el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
    el('tbody', {}, ...report.rounds.map((round, index) => el('tr', {},
      el('th', { scope: 'row' }, String(index + 1)),
      el('td', {}, formatCount(round.pages)),
      el('td', {}, formatBytes(round.bytes)),
      el('td', {}, formatMs(round.ms)),
      el('td', {}, formatCount(round.dirtied))))));
}
