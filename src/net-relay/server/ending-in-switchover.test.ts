/** A VM whose tab ends it in the middle of its switchover (NR29). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../../shared/ids.ts';
import type { HostClient } from '../client/host-client.ts';
import type { OwnerPort, TargetPort } from '../client/port-client.ts';
import type { CreatedVm } from '../protocol/relay-protocol.ts';
import { StoreRefusal } from '../store/key-value-store.ts';
import { TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

const MIGRATION = 'm1' as MigrationId;
const CLOSED = { how: 'tab-closed' } as const;

let lan: VirtualLan;
let owner: HostClient;
let taker: HostClient;
let vm: CreatedVm;
let port: OwnerPort;
let target: TargetPort;

/** The source has drained, and the target has not asked for the commit. */
beforeEach(async () => {
  lan = new VirtualLan();
  [owner, taker] = [lan.host('owner'), lan.host('taker')];
  vm = await lan.createVm(owner);
  port = lan.own('owner', vm, new TestNic());
  target = lan.target('taker', vm, new TestNic(false), MIGRATION, 'owner');
  await lan.pass(20);
  const lease = port.sourceLease(MIGRATION, 'taker' as HostId);
  await lan.settled(lease.hold());
  await lan.settled(lease.drained());
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

const end = (host: HostClient, epoch: number): Promise<void> => lan.settled(host.destroyVm(vm.vmId as VmId, epoch as LeaseEpoch, CLOSED));
const knownVms = (): readonly unknown[] => lan.relay.roomStatus('default', lan.relay.defaultRoomKey)!.vms;
/** The owner's tab goes, with its worker and its sockets. */
function ownerGoes(): void {
  port.dispose();
  owner.dispose();
}

/** The owner's connections break; it may come back. */
async function ownerIsCutOff(): Promise<void> {
  const { relay } = lan.network;
  lan.network.relay = null;
  lan.network.cut('owner');
  await lan.pass(20);
  lan.network.relay = relay;
}

describe('a VM whose owner ends it after it has drained (NR29)', () => {
  it('lives on at a target that commits', async () => {
    await expect(end(owner, 1)).rejects.toThrow('is being handed over; it ends if no other host takes it');
    ownerGoes();
    await lan.pass(5000);
    const lease = target.targetLease();
    expect(await lan.settled(lease.commit())).toBe(2);
    await lan.settled(Promise.resolve(lease.alive()));
    await lan.pass(120_000);
    expect(knownVms()).toMatchObject([{ ownerHostId: 'taker', epoch: 2, ownerPresent: true }]);
  });

  it('ends as it was told once its source has it again', async () => {
    await expect(end(owner, 1)).rejects.toThrow('is being handed over');
    await lan.settled(port.sourceLease(MIGRATION, 'taker' as HostId).abort());
    await lan.pass(1000);
    expect(knownVms()).toEqual([]);
    expect(taker.room?.ended).toMatchObject([{ id: vm.vmId, how: 'tab-closed' }]);
  });

  it('ends after ten beats without a target, and after sixty with one that does not commit', async () => {
    for (const [present, last] of [
      [false, 9000],
      [true, 59_000],
    ] as const) {
      if (!present) target.dispose();
      await expect(end(owner, 1)).rejects.toThrow('is being handed over');
      ownerGoes();
      await lan.pass(last);
      expect(knownVms()).toHaveLength(1);
      await lan.pass(1000);
      expect(knownVms()).toEqual([]);
      if (present) return;
      [owner] = [lan.host('owner')];
      vm = await lan.createVm(owner);
      port = lan.own('owner', vm, new TestNic());
      target = lan.target('taker', vm, new TestNic(false), MIGRATION, 'owner');
      await lan.pass(20);
      const lease = port.sourceLease(MIGRATION, 'taker' as HostId);
      await lan.settled(lease.hold());
      await lan.settled(lease.drained());
    }
  });

  it('ends at the next beat if the disk does not take it at once', async () => {
    await expect(end(owner, 1)).rejects.toThrow('is being handed over');
    ownerGoes();
    target.dispose();
    await lan.pass(9000);
    lan.storeError = new StoreRefusal('full');
    await lan.pass(5000);
    expect(knownVms()).toHaveLength(1);
    lan.storeError = null;
    await lan.pass(1000);
    expect(knownVms()).toEqual([]);
  });

  it('lives on at a target whose commit waits for drained, which is still on its way', async () => {
    await lan.settled(port.sourceLease(MIGRATION, 'taker' as HostId).abort());
    const next = port.sourceLease('m2' as MigrationId, 'taker' as HostId);
    const second = lan.target('taker', vm, new TestNic(false), 'm2', 'owner').targetLease();
    await lan.pass(20);
    await lan.settled(next.hold());
    const commit = second.commit();
    await lan.pass(20);
    await expect(end(owner, 1)).rejects.toThrow('is being handed over; it ends if no other host takes it');
    await lan.settled(next.drained());
    expect(await lan.settled(commit)).toBe(2);
    await lan.settled(Promise.resolve(second.alive()));
    ownerGoes();
    await lan.pass(120_000);
    expect(knownVms()).toMatchObject([{ ownerHostId: 'taker', epoch: 2, ownerPresent: true }]);
  });

  it('ends at once while only a hold is on, and once the target whose commit waited is gone', async () => {
    const next = port.sourceLease('m2' as MigrationId, 'taker' as HostId);
    await lan.settled(port.sourceLease(MIGRATION, 'taker' as HostId).abort());
    const second = lan.target('taker', vm, new TestNic(false), 'm2', 'owner');
    await lan.pass(20);
    await lan.settled(next.hold());
    const commit = second.targetLease().commit();
    commit.catch(() => undefined);
    await lan.pass(20);
    second.dispose();
    await lan.pass(20);
    await end(owner, 1);
    expect(knownVms()).toEqual([]);
  });
});

describe('a VM whose target ends it before it gave a sign of life (NR29)', () => {
  it('goes back to its source at once', async () => {
    expect(await lan.settled(target.targetLease().commit())).toBe(2);
    await expect(end(taker, 2)).rejects.toThrow('goes back to the host that it came from');
    await lan.pass(20);
    expect(knownVms()).toMatchObject([{ ownerHostId: 'owner', epoch: 3, ownerPresent: true }]);
  });

  it('goes back to a source that is away as soon as it returns', async () => {
    expect(await lan.settled(target.targetLease().commit())).toBe(2);
    await ownerIsCutOff();
    await expect(end(taker, 2)).rejects.toThrow('goes back');
    await lan.pass(10_000);
    expect(knownVms()).toMatchObject([{ ownerHostId: 'owner', epoch: 3, ownerPresent: true }]);
  });

  it('ends a minute later if its source does not come back, however often the target says so', async () => {
    expect(await lan.settled(target.targetLease().commit())).toBe(2);
    await ownerIsCutOff();
    ownerGoes();
    for (let asked = 0; asked < 11; asked++) {
      await expect(end(taker, 2)).rejects.toThrow('goes back');
      await lan.pass(5000);
      expect(knownVms()).toMatchObject([{ ownerHostId: 'taker', epoch: 2 }]);
    }
    await lan.pass(6000);
    expect(knownVms()).toEqual([]);
    expect(taker.room?.ended).toMatchObject([{ id: vm.vmId, how: 'tab-closed' }]);
  });

  it('ends at once if its source has ended it as well', async () => {
    await expect(end(owner, 1)).rejects.toThrow('is being handed over');
    ownerGoes();
    expect(await lan.settled(target.targetLease().commit())).toBe(2);
    await expect(end(taker, 2)).rejects.toThrow('goes back');
    await lan.pass(1000);
    expect(knownVms()).toEqual([]);
  });

  it('is no worse off at the same target at the next try', async () => {
    expect(await lan.settled(target.targetLease().commit())).toBe(2);
    await expect(end(taker, 2)).rejects.toThrow('goes back');
    await lan.pass(20);
    const again = lan.target('taker', vm, new TestNic(false), 'm2', 'owner', 3);
    const lease = port.sourceLease('m2' as MigrationId, 'taker' as HostId);
    await lan.settled(lease.hold());
    await lan.settled(lease.drained());
    const next = again.targetLease();
    expect(await lan.settled(next.commit())).toBe(4);
    await lan.settled(Promise.resolve(next.alive()));
    await lan.pass(90_000);
    expect(knownVms()).toMatchObject([{ ownerHostId: 'taker', epoch: 4 }]);
  });

  it('is not taken from a target that has lived', async () => {
    const lease = target.targetLease();
    await lan.settled(lease.commit());
    await lan.settled(Promise.resolve(lease.alive()));
    await end(taker, 2);
    expect(knownVms()).toEqual([]);
  });
});
