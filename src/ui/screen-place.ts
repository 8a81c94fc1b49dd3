import { disposable, type Disposable } from '../shared/disposable.ts';
import type { VmView } from '../host/scripting-interface.ts';
import type { Actions } from './scene.ts';
import { vmScreen, type VmScreen } from './screen.ts';

export interface ScreenPlace extends Disposable {
  readonly shown: VmScreen | null;
  /** Shows the VM's screen; null: none. */
  draw(vm: VmView | null): void;
}

/** Where a VM's screen is shown. A canvas can be handed over only once, so a VM that comes back gets a new one. */
export function screenPlace(body: HTMLElement, actions: Actions): ScreenPlace {
  let screen: { readonly vmId: string; readonly screen: VmScreen } | null = null;
  const remove = (): void => {
    screen?.screen.dispose();
    screen = null;
  };
  return {
    get shown() {
      return screen?.screen ?? null;
    },
    draw(vm) {
      if (screen !== null && screen.vmId !== vm?.id) remove();
      if (screen !== null || vm === null) return;
      screen = { vmId: vm.id, screen: vmScreen(vm.id, vm.name, actions.tab) };
      body.prepend(screen.screen.element);
    },
    ...disposable(remove),
  };
}
