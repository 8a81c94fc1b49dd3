/** The consoles of the room's VMs in this tab: what they print, what is typed, and how large they are. */
import type { Clock } from '../shared/clock.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import { ConsoleInput, type LocalConsole } from './console-input.ts';
import type { ConsoleSize } from '../vm-host/vm-worker-messages.ts';
import { ConsoleSizes } from './console-sizes.ts';
import type { HostMessage, HostMessageOf } from './host-messages.ts';
import { RemoteConsoles } from './remote-consoles.ts';
import type { TerminalConsole } from './scripting-interface.ts';

export interface VmConsolesOptions {
  readonly self: HostId;
  readonly clock: Clock;
  readonly send: (to: HostId, message: HostMessage) => void;
  readonly sendToRoom: (message: HostMessage) => void;
  /** The lease's holder, as the relay says; null for an unknown VM. */
  readonly ownerOf: (vmId: VmId) => HostId | null;
  /** The host that has the VM now (vm-owner.ts); null when nobody is known to. */
  readonly ownerNow: (vmId: VmId) => HostId | null;
  /** The host is in the room, or may still come back after a server outage. */
  readonly isExpected: (hostId: HostId) => boolean;
  /** The VM, if its worker is here; `arriving` until it runs. */
  readonly local: (vmId: VmId) => (LocalConsole & { readonly printsHere: boolean; resizeConsole(size: ConsoleSize): void }) | null;
  readonly changed: () => void;
  /** A VM is gone; this many characters typed for it here are lost. */
  readonly inputLost: (vmId: VmId, characters: number) => void;
}

export class VmConsoles {
  readonly output: RemoteConsoles;
  readonly input: ConsoleInput;
  readonly sizes: ConsoleSizes;

  constructor(options: VmConsolesOptions) {
    const { self, clock, send, sendToRoom, ownerOf, ownerNow, isExpected, local, changed, inputLost } = options;
    this.output = new RemoteConsoles({
      self,
      clock,
      send,
      ownerOf,
      printsHere: (vmId) => local(vmId)?.printsHere ?? false,
      isArriving: (vmId) => local(vmId)?.state.kind === 'arriving',
    });
    this.input = new ConsoleInput({ self, clock, send, ownerNow, local, changed, lost: inputLost });
    this.sizes = new ConsoleSizes({
      self,
      send,
      sendToRoom,
      isExpected,
      changed,
      isKnown: (vmId) => ownerOf(vmId) !== null || local(vmId) !== null,
      local: (vmId) => {
        const vm = local(vmId);
        return vm?.state.kind === 'arriving' ? null : vm;
      },
    });
  }

  /** The console of any VM of the room, kept up to date here from now on. */
  open(vmId: VmId): TerminalConsole {
    const stream = this.output.open(vmId);
    return {
      write: (text) => this.input.write(vmId, text),
      writeBytes: (bytes) => this.input.writeBytes(vmId, bytes),
      text: () => stream.text(),
      onData: (callback) => stream.onText(callback),
      bytes: () => stream.bytes(),
      onBytes: (callback) => stream.onBytes(callback),
      waiting: () => this.input.waitingFor(vmId),
      size: () => {
        const { cols, rows, holder } = this.sizes.of(vmId);
        return { cols, rows, holder };
      },
      fits: (size) => this.sizes.fits(vmId, size),
      used: () => this.sizes.used(vmId),
    };
  }

  receive(
    from: HostId,
    message: HostMessageOf<'console-open' | 'console-close' | 'console-data' | 'console-input' | 'console-applied' | 'console-size'>,
  ): void {
    switch (message.type) {
      case 'console-open':
        // The size goes before the scroll-back, which was drawn for that size.
        this.sizes.tell(from);
        this.output.receive(from, message);
        break;
      case 'console-close':
      case 'console-data':
        this.output.receive(from, message);
        break;
      case 'console-input':
        this.input.receive(from, message);
        break;
      case 'console-applied':
        this.input.acknowledged(from, message.vmId, message.count);
        break;
      case 'console-size':
        this.sizes.receive(message);
        break;
    }
  }

  /** The relay has sent its list of VMs. */
  listed(): void {
    this.sizes.listed();
  }

  /** The lists of hosts or VMs have changed. */
  roomChanged(): void {
    this.output.followAll();
    this.input.roomChanged();
    this.sizes.hostLeft();
  }

  /** The relay answers again. */
  returned(): void {
    this.output.returned();
    this.input.returned();
    this.sizes.returned();
  }
}
