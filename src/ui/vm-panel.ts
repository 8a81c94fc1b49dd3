import { DisposableBag } from '../shared/disposable.ts';
import { el, setText, show, type Component } from './dom.ts';
import { forgetControl } from './forget-control.ts';
import { formatMemory } from './format.ts';
import { migrateControl } from './migrate-control.ts';
import { migrationProgress } from './migration-progress.ts';
import { migrationResult } from './migration-result.ts';
import { migrationOf, type Actions, type Scene } from './scene.ts';

/** The VM shown: what and where it is, Migrate, Forget, and a migration's progress and result. */
export function vmPanel(actions: Actions): Component<Scene> {
  const bag = new DisposableBag();
  const name = el('h2', { class: 'vm-name' });
  const facts = el('p', { class: 'vm-facts' });
  const title = el('div', { class: 'vm-title' }, name, facts);
  const control = bag.add(migrateControl(actions));
  const forget = bag.add(forgetControl(actions));
  const progress = bag.add(migrationProgress(actions));
  const result = bag.add(migrationResult());
  const element = el(
    'section',
    { class: 'card vm-panel', 'aria-label': 'Migration' },
    title,
    control.element,
    forget.element,
    progress.element,
    result.element,
  );
  return {
    element,
    update(scene) {
      const vm = scene.selected;
      show(element, vm !== null);
      // The progress has a title of its own.
      show(title, vm !== null && migrationOf(scene.view, vm.id) === null);
      if (vm !== null) {
        setText(name, vm.name);
        setText(facts, `${formatMemory(vm.memoryBytes)} · ${vm.ip}`);
      }
      control.update(scene);
      forget.update(scene);
      progress.update(scene);
      result.update(scene);
    },
    dispose: () => bag.dispose(),
  };
}
