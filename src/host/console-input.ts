/**
 * Where what is typed into a VM's console goes: to its worker if it runs or arrives here, else to the host that has it.
 * A host that a VM has left passes on what comes for it, so that a key pressed during a move reaches the guest once.
 */
import type { HostId, VmId } from '../shared/ids.ts';
import { MAX_CONSOLE_CHARACTERS, MAX_INPUT_HOPS, type HostMessage, type HostMessageOf } from './host-messages.ts';

export interface ConsoleInputOptions {
  readonly self: HostId;
  readonly send: (to: HostId, message: HostMessage) => void;
  /** The host that has the VM now (vm-owner.ts); null when nobody is known to. */
  readonly ownerNow: (vmId: VmId) => HostId | null;
  /** The VM, if its worker is here. */
  readonly local: (vmId: VmId) => LocalConsole | null;
}

export interface LocalConsole {
  readonly state: { readonly kind: string };
  write(data: string): void;
}

export class ConsoleInput {
  private readonly options: ConsoleInputOptions;

  constructor(options: ConsoleInputOptions) {
    this.options = options;
  }

  /** Typed in this tab. Throws a sentence if the room has no such VM. */
  write(vmId: VmId, text: string): void {
    const vm = this.options.local(vmId);
    const owner = this.otherOwner(vmId);
    // While a VM is on its way here, its keys still belong to the source.
    if (vm !== null && (vm.state.kind !== 'arriving' || owner === null)) vm.write(text);
    else if (owner !== null) this.sendOn(vmId, owner, text);
    else throw new Error('There is no such VM in this room.');
  }

  /** From another tab, which takes this one for the VM's host. */
  receive({ vmId, data, hops }: HostMessageOf<'console-input'>): void {
    const vm = this.options.local(vmId);
    if (vm !== null) {
      vm.write(data);
      return;
    }
    const owner = this.otherOwner(vmId);
    if (owner !== null && hops < MAX_INPUT_HOPS) this.sendOn(vmId, owner, data, hops + 1);
  }

  /** Sends what was typed to the host that has the VM now. */
  sendOn(vmId: VmId, to: HostId, text: string, hops = 0): void {
    for (let at = 0; at < text.length; at += MAX_CONSOLE_CHARACTERS) {
      this.options.send(to, { type: 'console-input', vmId, data: text.slice(at, at + MAX_CONSOLE_CHARACTERS), hops });
    }
  }

  /** The other host that has the VM; null if there is none, or it is this one. */
  private otherOwner(vmId: VmId): HostId | null {
    const owner = this.options.ownerNow(vmId);
    return owner === this.options.self ? null : owner;
  }
}
