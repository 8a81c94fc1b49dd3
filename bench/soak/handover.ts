/** A VM's lease goes from one host to another, as in a migration, without the VM's memory. */
import { attachTarget } from '../../src/net-relay/client/port-client.ts';
import type { DisposableBag } from '../../src/shared/disposable.ts';
import type { MigrationId, VmId } from '../../src/shared/ids.ts';
import type { RoomHost, RoomVm, Stranger } from './stranger.ts';

/** Resolves with the VM as owned by the target once the relay has acknowledged the sign of life; rejects if the relay refuses. */
export async function handOver(stranger: Stranger, vm: RoomVm, from: RoomHost, to: RoomHost, migration: string, open: DisposableBag): Promise<RoomVm> {
  const migrationId = migration as MigrationId;
  const source = vm.port.sourceLease(migrationId, to.credentials.hostId);
  const target = open.add(
    attachTarget({
      url: `${stranger.origin}/relay/port`,
      credentials: to.credentials,
      openSocket: stranger.openSocket,
      nic: vm.nic,
      vmId: vm.vm.vmId as VmId,
      epoch: vm.port.epoch,
      migrationId,
      fromHostId: from.credentials.hostId,
    }),
  );
  const lease = target.targetLease();
  await lease.probe();
  await source.hold();
  await source.drained();
  await lease.commit();
  await lease.alive();
  vm.port.dispose();
  return { ...vm, port: target.asOwner() };
}
