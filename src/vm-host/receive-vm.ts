/** The target's side of a migration in the VM's worker: the machine waits at the base snapshot, the engine fills it. */
import type { Machine } from '../emulator-bridge/machine.ts';
import { asMigrationError, MigrationError } from '../migration/migration-error.ts';
import type { TargetVm } from '../migration/ports.ts';
import { startReceiver } from '../migration/receiver.ts';
import { attachTarget, type TargetPort } from '../net-relay/client/port-client.ts';
import type { OpenedLink } from '../link/lane-end.ts';
import type { MigrationEnds, ToVmWorker } from './vm-worker-messages.ts';
import { GuestWallClock } from './guest-wall-clock.ts';
import { readCarriedVm, type CarriedVm } from './carried-vm.ts';
import { unpackLuggage, type ConsoleLuggage } from './console-luggage.ts';
import { NextLinks } from './next-links.ts';
import { openMigrationLink } from './open-migration-link.ts';
import type { ResidentVm, WorkerContext } from './worker-context.ts';

/** What is known once the guest is about to run. */
interface Arrival {
  readonly machine: Machine;
  readonly connected: Pick<ResidentVm, 'console' | 'agent'>;
}

/** How long the last messages of a failed migration may take to be sent before the worker is ended. */
const FAREWELL_LIMIT_MS = 1000;

export interface Arriving {
  /** Resolves with the VM once it runs here. Resolves with null if it does not, after the page was told why. */
  readonly done: Promise<ResidentVm | null>;
  /** The source opened another link in place of one that died. */
  linkOpened(attempt: number, ends: MigrationEnds): void;
}

export function receiveVm(order: Extract<ToVmWorker, { type: 'receive' }>, building: Promise<Machine>, context: WorkerContext): Arriving {
  const open = (ends: MigrationEnds, attempt: number): OpenedLink =>
    openMigrationLink(ends, context, { migrationId: order.migrationId, attempt, side: 'target', peer: order.from });
  const links = { current: open(order.ends, 0), others: new NextLinks() };
  return {
    done: receive(order, links, building, context).finally(() => links.others.dispose()),
    linkOpened(attempt, ends) {
      links.current = open(ends, attempt);
      links.others.opened(links.current);
    },
  };
}

interface Links {
  /** The newest. */
  current: OpenedLink;
  readonly others: NextLinks;
}

async function receive(
  order: Extract<ToVmWorker, { type: 'receive' }>,
  links: Links,
  building: Promise<Machine>,
  context: WorkerContext,
): Promise<ResidentVm | null> {
  const engines = await context.engines.catch((error: unknown) => asMigrationError(error, 'prepare-failed'));
  if (engines instanceof MigrationError) {
    links.current.close();
    context.post({ type: 'not-arrived', cause: engines.cause, reason: engines.message });
    return null;
  }
  const { compressor, pageHash } = engines;
  let port: TargetPort | null = null;
  let arrival: Arrival | null = null;

  const receiver = startReceiver({
    async prepare(_fingerprint, offer) {
      const { identity } = readCarriedVm(offer.extra);
      const machine = await building;
      machine.network.setMac(identity.mac);
      return announced(machine, (luggage) => {
        context.post({ type: 'console-continues', scrollback: machine.scrollback(), printed: luggage.printed });
        arrival = { machine, connected: context.connect(machine, luggage) };
      });
    },
    async lease(offer) {
      const { epoch } = readCarriedVm(offer.extra);
      const { network } = await building;
      const { url, ...credentials } = context.relay;
      port = attachTarget({
        url: `${url}/port`,
        credentials,
        vmId: offer.vmId,
        epoch,
        migrationId: offer.migrationId,
        fromHostId: order.from,
        nic: network,
        clock: context.clock,
        openSocket: context.openSocket,
      });
      return port.targetLease();
    },
    migrationId: order.migrationId,
    link: links.current,
    nextLink: () => links.others.next(),
    clock: context.clock,
    compressor,
    pageHash,
    nextTask: context.nextTask,
    onLog: (text) => context.post({ type: 'log', level: 'info', text }),
    onStep: (step) => context.post({ type: 'step', step: `target: ${step}` }),
  });
  const [offer, end] = await Promise.all([receiver.offer, receiver.done]);
  if (end.outcome !== 'completed') {
    await Promise.race([links.current.closed, new Promise((resolve) => context.clock.setTimeout(() => resolve(null), FAREWELL_LIMIT_MS))]);
    context.post({ type: 'not-arrived', cause: end.cause, reason: end.reason });
    return null;
  }
  return settled(readCarriedVm(offer?.extra), port, arrival, context);
}

function settled({ identity }: CarriedVm, target: TargetPort | null, arrival: Arrival | null, context: WorkerContext): ResidentVm {
  if (target === null || arrival === null) throw new MigrationError('internal', 'The VM runs, but nothing is known of it.');
  const {
    machine,
    connected: { console, agent },
  } = arrival;
  const port = target.asOwner();
  context.watchPort(port);
  context.post({ type: 'arrived', vm: identity, epoch: port.epoch });
  const wallClock = new GuestWallClock({ machine, agent, serverTime: port.serverTime, clock: context.clock });
  void wallClock.begin().then((answer) => {
    if (answer === null) context.post({ type: 'log', level: 'bad', text: "The guest did not take the server's time; its clock may be off." });
  });
  return { machine, identity, port, agent, wallClock, console };
}

/** The machine as the engine sees it; `beforeRun` is called when all state is restored and nothing has been executed yet. */
function announced(machine: Machine, beforeRun: (luggage: ConsoleLuggage) => void): TargetVm {
  let luggage: ConsoleLuggage = { printed: 0, applied: [] };
  return {
    fingerprint: machine.fingerprint,
    space: machine.space,
    baseDevices: () => machine.baseDevices(),
    writePages: (pages, data) => machine.writePages(pages, data),
    readPages: (pages, into) => machine.readPages(pages, into),
    differsFromBase: () => machine.differsFromBase(),
    async restoreDevices(state) {
      const unpacked = unpackLuggage(state);
      await machine.restoreDevices(unpacked.devices);
      ({ luggage } = unpacked);
    },
    run(stoppedForMs) {
      beforeRun(luggage);
      return machine.run(stoppedForMs);
    },
    alive: () => machine.alive(),
    discard: () => machine.discard(),
  };
}
