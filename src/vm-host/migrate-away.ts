/** The source's side of a migration in the VM's worker: hands the machine, its lease and the link to the engine. */
import type { Machine } from '../emulator-bridge/machine.ts';
import type { Link, SourceVm } from '../migration/ports.ts';
import { asMigrationError } from '../migration/migration-error.ts';
import type { MigrationReport } from '../migration/report.ts';
import { startSender, type SenderHandle } from '../migration/sender.ts';
import type { MigrationEnds, ToVmWorker } from './vm-worker-messages.ts';
import type { ConsoleGate } from './console-gate.ts';
import { packLuggage } from './console-luggage.ts';
import type { CarriedVm } from './carried-vm.ts';
import { NextLinks } from './next-links.ts';
import { openMigrationLink } from './open-migration-link.ts';
import type { ResidentVm, WorkerContext } from './worker-context.ts';

export interface Departure {
  /** Never rejects. */
  readonly done: Promise<MigrationReport>;
  /** `done` says whether it came in time. */
  cancel(): void;
  /** The guest is off; with a sentence if it did not power off itself. */
  vmEnded(reason?: string): void;
  /** The page's answer to `link-wanted`. */
  linkOpened(attempt: number, ends: MigrationEnds): void;
  noLink(reason: string): void;
  /** The room no longer has the target. */
  targetLeft(): void;
}

export function migrateAway(order: Extract<ToVmWorker, { type: 'migrate' }>, vm: ResidentVm, context: WorkerContext): Departure {
  const { migrationId } = order;
  const open = (ends: MigrationEnds, attempt: number): Link => openMigrationLink(ends, context, { migrationId, attempt, side: 'source', peer: order.to });
  const link = open(order.ends, 0);
  const lease = vm.port.sourceLease(migrationId, order.to);
  const others = new NextLinks();
  let attempts = 0;
  let { kind } = order.ends;
  const started = context.engines.then(({ compressor, pageHash }) =>
    startSender({
      vm: gated(vm.machine, vm.console),
      lease,
      link,
      clock: context.clock,
      compressor,
      pageHash,
      offer: {
        migrationId,
        vmId: vm.identity.vmId,
        vmName: vm.identity.name,
        from: context.relay.hostId,
        to: order.to,
        memoryBytes: vm.machine.fingerprint.memoryBytes,
        extra: { identity: vm.identity, epoch: vm.port.epoch } satisfies CarriedVm,
      },
      options: order.options,
      onProgress: (progress) => context.post({ type: 'progress', progress }),
      onLog: (text) => context.post({ type: 'log', level: 'info', text }),
      onStep: (step) => context.post({ type: 'step', step: `source: ${step}` }),
      onWaiting: (what) => context.post({ type: 'waiting', what }),
      nextTask: context.nextTask,
      replaceLink() {
        context.post({ type: 'link-wanted', attempt: ++attempts, avoid: kind });
        return others.next();
      },
    }),
  );
  const sent = started.then(
    (sender) => sender.done,
    (error: unknown) => {
      // The migration has not begun: the VM keeps running.
      link.close();
      return notBegun(
        { id: migrationId, vmId: vm.identity.vmId, from: context.relay.hostId, to: order.to, link: kind, memoryBytes: vm.machine.fingerprint.memoryBytes },
        error,
      );
    },
  );
  /** Runs `work` once there is a sender. If there never is one, `done` reports the end. */
  const withSender = (work: (sender: SenderHandle) => void): void => void started.then(work, () => undefined);
  const done = sent.then((report) => {
    others.dispose();
    if (report.outcome === 'completed') {
      vm.wallClock.dispose();
      vm.agent.dispose();
      vm.port.dispose();
    } else {
      lease.dispose();
    }
    return report;
  });
  return {
    done,
    cancel: () => withSender((sender) => void sender.cancel()),
    vmEnded: (reason) => withSender((sender) => sender.vmEnded(reason)),
    targetLeft: () => withSender((sender) => sender.targetLeft()),
    linkOpened(attempt, ends) {
      ({ kind } = ends);
      others.opened(open(ends, attempt));
    },
    noLink: (reason) => others.failed(reason),
  };
}

function notBegun(about: Pick<MigrationReport, 'id' | 'vmId' | 'from' | 'to' | 'link' | 'memoryBytes'>, error: unknown): MigrationReport {
  const { cause, message: reason } = asMigrationError(error, 'internal');
  return { ...about, outcome: 'failed', cause, reason, rounds: [], pauseMs: 0, downtime: null, totalMs: 0, bytesOnWire: 0, verified: null };
}

/** The machine as the engine sees it, with the console held while it is stopped. */
function gated(machine: Machine, console: ConsoleGate): SourceVm {
  return {
    fingerprint: machine.fingerprint,
    space: machine.space,
    startDirtyLog: () => machine.startDirtyLog(),
    takeDirty: () => machine.takeDirty(),
    stopDirtyLog: () => machine.stopDirtyLog(),
    differsFromBase: () => machine.differsFromBase(),
    basePage: (page) => machine.basePage(page),
    baseDevices: () => machine.baseDevices(),
    readPages: (pages, into) => machine.readPages(pages, into),
    throttle: (cpuFraction) => machine.throttle(cpuFraction),
    pause() {
      console.hold();
      return machine.pause();
    },
    drainDisk: () => machine.drainDisk(),
    async saveDevices() {
      const devices = await machine.saveDevices();
      return packLuggage(console.luggage(), devices);
    },
    async resume() {
      await machine.resume();
      console.release();
    },
    discard: () => machine.discard(),
  };
}
