import { DisposableBag } from '../shared/disposable.ts';
import type { LogLine } from '../host/scripting-interface.ts';
import { el, keyedList, listen, show, type Component } from './dom.ts';
import { formatTime } from './format.ts';
import { story, type StoryEntry } from './log-model.ts';
import { saveFile } from './save-file.ts';
import type { Actions, Scene } from './scene.ts';

/** What happened in the room, newest first; the outcome and figures of every migration among it. */
export function migrationLog(actions: Actions): Component<Scene> {
  const save = el(
    'button',
    {
      type: 'button',
      class: 'button quiet',
      'data-testid': 'save-diagnostics',
      title: 'Everything that this tab and the server know of what happened here, without keys and passwords: to attach to a report of a fault.',
    },
    'Save diagnostics',
  );
  const list = el('ol', { class: 'log-list' });
  const nothing = el('p', { class: 'quiet-words' }, 'What happens in this room is written here.');
  const element = el(
    'section',
    { class: 'card log', 'data-testid': 'migration-log', 'aria-label': 'Log' },
    el('div', { class: 'log-head' }, el('h3', {}, 'Log'), save),
    nothing,
    list,
  );
  const bag = new DisposableBag();
  listen(bag, save, 'click', () =>
    actions.attempt(async () => {
      const diagnostics = await actions.tab.diagnostics();
      saveFile(
        new Blob([JSON.stringify(diagnostics, null, 2)], { type: 'application/json' }),
        `tabmotion-${diagnostics.room}-${diagnostics.made.replace(/[:.]/g, '-')}.json`,
      );
    }),
  );
  const entries = keyedList<StoryEntry>(list, (entry) => entry.key, entryItem);
  let drawn: readonly LogLine[] | null = null;
  return {
    element,
    update({ view }) {
      // This runs many times a second while a VM moves; the log is a new array when a line was added.
      if (view.log === drawn) return;
      drawn = view.log;
      show(nothing, view.log.length === 0);
      entries.update(story(view.log));
    },
    dispose() {
      entries.dispose();
      bag.dispose();
    },
  };
}

function entryItem(entry: StoryEntry): Component<StoryEntry> {
  const element = el(
    'li',
    { class: 'log-entry', 'data-level': entry.level },
    el('time', { datetime: new Date(entry.at).toISOString() }, formatTime(entry.at)),
    el('p', {}, entry.text),
  );
  return {
    element,
    update() {
      /* an entry never changes */
    },
    dispose() {
      /* holds nothing */
    },
  };
}
