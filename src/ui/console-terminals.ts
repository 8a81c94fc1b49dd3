import { disposable, type Disposable } from '../shared/disposable.ts';
import type { TerminalConsole, VmView } from '../host/scripting-interface.ts';
import { show } from './dom.ts';
import type { Actions } from './scene.ts';
import { consoleTerminal, type ConsoleTerminal } from './terminal.ts';

export interface ConsoleTerminals extends Disposable {
  /** The VM's console; it is opened once for each VM. */
  consoleOf(vmId: string): TerminalConsole;
  of(vmId: string): ConsoleTerminal | undefined;
  /** Shows the terminal of the selected VM, if terminals are shown at all, and removes those of VMs that are not known any more. */
  draw(vms: readonly VmView[], selected: VmView | null, visible: boolean): void;
}

/** The terminals of all VMs whose console was looked at; at most one of them is shown. */
export function consoleTerminals(body: HTMLElement, actions: Actions, refused: (error: Error) => void): ConsoleTerminals {
  const terminals = new Map<string, ConsoleTerminal>();
  const opened = new Map<string, TerminalConsole>();

  function consoleOf(vmId: string): TerminalConsole {
    const console = opened.get(vmId) ?? actions.tab.console(vmId);
    opened.set(vmId, console);
    return console;
  }

  function forgetOthers(vms: readonly VmView[]): void {
    const known = new Set(vms.map((vm) => vm.id));
    for (const id of opened.keys()) if (!known.has(id)) opened.delete(id);
    for (const [id, terminal] of terminals) {
      if (known.has(id)) continue;
      terminal.dispose();
      terminals.delete(id);
    }
  }

  return {
    consoleOf,
    of: (vmId) => terminals.get(vmId),
    draw(vms, selected, visible) {
      forgetOthers(vms);
      const isNew = selected !== null && !terminals.has(selected.id);
      if (isNew) {
        const terminal = consoleTerminal(selected.id, selected.name, consoleOf(selected.id), { selfId: actions.tab.host.id, refused });
        terminals.set(selected.id, terminal);
        body.prepend(terminal.element);
      }
      for (const vm of vms) terminals.get(vm.id)?.setAnswers(vm.here);
      for (const [id, terminal] of terminals) {
        const isShown = visible && id === selected?.id;
        const appears = isShown && terminal.element.hidden;
        if (!isShown && !terminal.element.hidden) terminal.away();
        show(terminal.element, isShown);
        if (appears || (isNew && isShown)) terminal.fit();
        else if (isShown) terminal.adapt();
      }
    },
    ...disposable(() => {
      for (const terminal of terminals.values()) terminal.dispose();
      terminals.clear();
    }),
  };
}
