import { DisposableBag } from '../shared/disposable.ts';
import { el, listen, setAttribute, setText, show, type Component } from './dom.ts';
import type { Actions, Scene } from './scene.ts';

/** Forgets a VM whose tab is gone for good; the first press only asks. */
export function forgetControl(actions: Actions): Component<Pick<Scene, 'selected'>> {
  const bag = new DisposableBag();
  const element = el('button', { type: 'button', class: 'button quiet forget', 'data-testid': 'forget-button', 'aria-live': 'polite' });
  let shown: { readonly vmId: string; readonly epoch: number } | null = null;
  let asks = false;

  function ask(next: boolean): void {
    asks = next;
    setAttribute(element, 'data-asks', asks);
    setText(element, asks ? 'It cannot come back then. Forget?' : 'Forget this PC');
  }
  ask(false);

  bag.add(listen(element, 'click', (event) => {
    // The second half of a double click is no answer.
    if (shown === null || event.detail > 1) return;
    const { vmId, epoch } = shown;
    if (asks) actions.forget(vmId, epoch);
    ask(!asks);
  }));
  bag.add(listen(element, 'blur', () => ask(false)));
  bag.add(listen(element, 'keydown', (event) => {
    if (event.key === 'Escape') ask(false);
  }));

  return {
    element,
    update({ selected: vm }) {
      const next = vm === null || vm.ended || vm.here || vm.ownerPresent ? null : { vmId: vm.id, epoch: vm.epoch };
      // The question was about another VM, or about what this one was then.
      if (next?.vmId !== shown?.vmId || next?.epoch !== shown?.epoch) ask(false);
      shown = next;
      show(element, next !== null);
    },
    dispose: () => bag.dispose(),
  };
}
