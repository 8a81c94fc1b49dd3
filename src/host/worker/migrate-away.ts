/** The source's side of a migration in the VM's worker: hands the machine, its lease and the link to the engine. */
import type { Machine } from '../../emulator-bridge/machine.ts';
import { systemClock } from '../../emulator-bridge/system-clock.ts';
import type { SourceVm } from '../../migration/ports.ts';
import type { MigrationReport } from '../../migration/report.ts';
import type { CancelAnswer } from '../../migration/sender-api.ts';
import { startSender } from '../../migration/sender.ts';
import type { ToVmWorker } from '../vm-worker-messages.ts';
import type { ConsoleGate } from './console-gate.ts';
import type { CarriedVm } from './carried-vm.ts';
import { nextTask } from './next-task.ts';
import { openMigrationLink } from './open-migration-link.ts';
import type { ResidentVm, WorkerContext } from './vm-worker-main.ts';

export interface Departure {
  /** Always resolves. `unsentInput` was typed while the VM was stopped and belongs to the target now. */
  readonly done: Promise<{ readonly report: MigrationReport; readonly unsentInput: string }>;
  cancel(): Promise<CancelAnswer>;
}

export function migrateAway(order: Extract<ToVmWorker, { type: 'migrate' }>, vm: ResidentVm, context: WorkerContext): Departure {
  const link = openMigrationLink(order.ends, context.relay, { migrationId: order.migrationId, side: 'source', peer: order.to });
  const started = context.engines.then(({ compressor, pageHash }) =>
    startSender({
      vm: gated(vm.machine, vm.console),
      lease: vm.port.sourceLease(order.migrationId, order.to),
      link,
      clock: systemClock,
      compressor,
      pageHash,
      offer: {
        migrationId: order.migrationId,
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
      onWaiting: (what) => context.post({ type: 'waiting', what }),
      nextTask,
    }));
  const powerWatch = vm.machine.onState((state) => {
    if (state === 'powered-off') void started.then((sender) => sender.vmEnded());
  });
  const done = started.then((sender) => sender.done).then((report) => {
    powerWatch.dispose();
    if (report.outcome !== 'completed') return { report, unsentInput: '' };
    vm.agent.dispose();
    vm.port.dispose();
    return { report, unsentInput: vm.console.takeKept() };
  });
  return { done, cancel: () => started.then((sender) => sender.cancel()) };
}

/** The machine as the engine sees it, with the console held while it is stopped. */
function gated(machine: Machine, console: ConsoleGate): SourceVm {
  return {
    fingerprint: machine.fingerprint,
    space: machine.space,
    openEpoch: () => machine.openEpoch(),
    takeDirty: () => machine.takeDirty(),
    closeEpoch: () => machine.closeEpoch(),
    differsFromBase: () => machine.differsFromBase(),
    readPages: (pages, into) => machine.readPages(pages, into),
    throttle: (cpuFraction) => machine.throttle(cpuFraction),
    pause() {
      console.hold();
      return machine.pause();
    },
    drainDisk: () => machine.drainDisk(),
    saveDevices: () => machine.saveDevices(),
    async resume() {
      await machine.resume();
      console.release();
    },
    discard: () => machine.discard(),
  };
}
