import { confirmButton } from './confirm-button.ts';
import { show, type Component } from './dom.ts';
import type { Actions, Scene } from './scene.ts';

/** Forgets a VM whose tab is gone for good; the first press only asks. */
export function forgetControl(actions: Actions): Component<Pick<Scene, 'selected'>> {
  let shown: { readonly vmId: string; readonly epoch: number } | null = null;
  const button = confirmButton({
    label: 'Forget this PC',
    question: 'It cannot come back then. Forget?',
    testId: 'forget-button',
    ready: () => shown !== null,
    act: () => shown !== null && actions.forget(shown.vmId, shown.epoch),
  });
  return {
    element: button.element,
    update({ selected: vm }) {
      const next = vm === null || vm.ended || vm.here || vm.ownerPresent ? null : { vmId: vm.id, epoch: vm.epoch };
      // The question was about another VM, or about an earlier epoch of this one.
      if (next?.vmId !== shown?.vmId || next?.epoch !== shown?.epoch) button.reset();
      shown = next;
      show(button.element, next !== null);
    },
    dispose: () => button.dispose(),
  };
}
