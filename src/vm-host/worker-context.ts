/** What a VM in this worker has, and what its migrations may use of the worker. */
import type { Machine } from '../emulator-bridge/machine.ts';
import type { OpenSocket } from '../net-relay/client/open-socket.ts';
import type { OwnerPort } from '../net-relay/client/port-client.ts';
import type { Compressor, PageHash } from '../migration/ports.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { ConsoleGate } from './console-gate.ts';
import type { ConsoleLuggage } from './console-luggage.ts';
import type { GuestAgent } from './guest-agent.ts';
import type { GuestWallClock } from './guest-wall-clock.ts';
import type { FromVmWorker, RelayAccess, VmIdentity } from './vm-worker-messages.ts';

/** Everything that belongs to a VM in this worker, whether it was started here or arrived. */
export interface ResidentVm {
  readonly machine: Machine;
  readonly identity: VmIdentity;
  readonly port: OwnerPort;
  readonly agent: GuestAgent;
  readonly wallClock: GuestWallClock;
  readonly console: ConsoleGate;
}

export interface WorkerContext {
  readonly relay: RelayAccess;
  readonly clock: Clock;
  /** Resolves in a later task, as soon as the event loop comes round: the guest's turn. */
  readonly nextTask: () => Promise<void>;
  readonly openSocket: OpenSocket;
  readonly post: (message: FromVmWorker) => void;
  readonly engines: Promise<MigrationEngines>;
  /** Connects a machine's console, agent and state to the page. */
  readonly connect: (machine: Machine, luggage?: ConsoleLuggage) => { readonly console: ConsoleGate; readonly agent: GuestAgent };
  /** Reports the port's state to the page. */
  readonly watchPort: (port: OwnerPort) => Disposable;
}

export interface MigrationEngines {
  readonly compressor: Compressor;
  readonly pageHash: PageHash;
}
