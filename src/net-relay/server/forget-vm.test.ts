import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LeaseOutcome } from '../../migration/ports.ts';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../../shared/ids.ts';
import type { HostClient } from '../client/host-client.ts';
import type { OwnerPort } from '../client/port-client.ts';
import type { CreatedVm } from '../protocol/relay-protocol.ts';
import { TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

/** Silent sockets are closed, the host is shown for ten more beats, and its VM cannot be forgotten for another ten. */
const LONG_GONE_MS = 30_000;
/** In a switchover it is kept for a minute. */
const LONG_GONE_IN_SWITCHOVER_MS = 60_000;

let lan: VirtualLan;
let owner: HostClient;
let asker: HostClient;
let vm: CreatedVm;
let nic: TestNic;
let port: OwnerPort;

beforeEach(async () => {
  lan = new VirtualLan();
  [owner, asker] = [lan.host('owner'), lan.host('asker')];
  vm = await lan.createVm(owner);
  nic = new TestNic();
  port = lan.own('owner', vm, nic);
  await lan.pass(20);
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

/** The owner's computer loses the network, and stays away for this long; `back` lets it in again. */
async function away(ms: number): Promise<{ readonly back: () => void }> {
  const { relay } = lan.network;
  lan.network.relay = null;
  lan.network.cut('owner');
  await lan.pass(ms);
  return {
    back() {
      lan.network.relay = relay;
    },
  };
}
const forget = (epoch = vm.epoch): Promise<void> => lan.settled(asker.forgetVm(vm.vmId as VmId, epoch as LeaseEpoch));
const knownVms = (): readonly unknown[] => lan.relay.roomStatus('default', lan.relay.defaultRoomKey)!.vms;

describe('a VM whose tab is gone for good (NR24)', () => {
  it('is forgotten by anyone of the room; its lease and address go, and stay gone after a restart', async () => {
    lan.lans[0]!.setForwards(vm.vmId as VmId, [{ guestPort: 80, hostPort: 8080 }]);
    await away(LONG_GONE_MS);
    expect(asker.room?.vms).toMatchObject([{ id: vm.vmId, ownerPresent: false }]);
    await forget();
    await lan.pass(20);
    expect(asker.room?.vms).toEqual([]);
    expect(lan.lans[0]!.vms()).toEqual([]);
    expect([...lan.records.keys()].filter((key) => key.startsWith('vm/'))).toEqual([]);
    lan.crashRelay();
    lan.startRelay();
    await lan.pass(5000);
    expect(knownVms()).toEqual([]);
  });

  it('is not forgotten while its owner is present, be it by the host socket or by the port alone', async () => {
    await expect(forget()).rejects.toThrow('only that tab can end it');
    owner.dispose();
    await lan.pass(LONG_GONE_MS);
    expect(asker.room?.hosts.map((host) => host.id)).toEqual(['asker']);
    expect(asker.room?.vms).toMatchObject([{ ownerPresent: true }]);
    await expect(forget()).rejects.toThrow('only that tab can end it');
    expect(knownVms()).toHaveLength(1);
  });

  it("is not forgotten at another epoch than the lease's", async () => {
    await away(LONG_GONE_MS);
    await expect(forget(vm.epoch + 1)).rejects.toThrow('has moved since (epoch 1, not 2)');
    expect(knownVms()).toHaveLength(1);
  });

  it('is not forgotten during a hold, nor before a commit is confirmed', async () => {
    const lease = port.sourceLease('m1' as MigrationId, 'target' as HostId);
    const target = lan.target('target', vm, new TestNic(false), 'm1', 'owner');
    await lan.pass(20);
    await lan.settled(lease.hold());
    await away(LONG_GONE_MS);
    lan.network.cut('target');
    await lan.pass(20);
    await expect(forget()).rejects.toThrow('may be on its way back');
    lan.network.relay = lan.relay;
    await lan.pass(5000);
    await lan.settled(lease.drained());
    lan.network.relay = null;
    lan.network.cut('owner');
    await lan.settled(target.targetLease().commit());
    lan.network.cut('target');
    await lan.pass(LONG_GONE_MS);
    expect(knownVms()).toMatchObject([{ epoch: 2, ownerPresent: false }]);
    await expect(forget(2)).rejects.toThrow('may be on its way back');
    expect(knownVms()).toHaveLength(1);
    await lan.pass(LONG_GONE_IN_SWITCHOVER_MS);
    await forget(2);
    expect(knownVms()).toEqual([]);
  });

  it('is forgotten a while after its owner was lost in the middle of a hold', async () => {
    const lease = port.sourceLease('m1' as MigrationId, 'target' as HostId);
    await lan.settled(lease.hold());
    await away(LONG_GONE_MS);
    await expect(forget()).rejects.toThrow(/can be forgotten in \d+ s/);
    await lan.pass(LONG_GONE_IN_SWITCHOVER_MS);
    await forget();
    expect(knownVms()).toEqual([]);
  });

  it("is nobody's for a source that comes back to its switchover afterwards; it is not told that the VM has moved", async () => {
    const lease = port.sourceLease('m1' as MigrationId, 'target' as HostId);
    const told: LeaseOutcome[] = [];
    lease.onOutcome((outcome) => told.push(outcome));
    await lan.settled(lease.hold());
    await lan.settled(lease.drained());
    const { back } = await away(LONG_GONE_MS + LONG_GONE_IN_SWITCHOVER_MS);
    const aborted = lease.abort();
    await forget();
    back();
    await lan.pass(10_000);
    const nobodys = { owner: 'nobody', reason: expect.stringContaining('ended, or was forgotten') as string };
    expect(await lan.settled(aborted)).toEqual(nobodys);
    expect(told).toEqual([nobodys]);
  });

  it('is not forgotten while a target waits to receive it', async () => {
    const target = lan.target('asker', vm, new TestNic(false), 'm1', 'owner');
    await lan.pass(20);
    await away(LONG_GONE_MS);
    await expect(forget()).rejects.toThrow('is being moved');
    target.dispose();
    await lan.pass(20);
    await forget();
    expect(knownVms()).toEqual([]);
  });

  it('is not forgotten right after a restart of the relay, when its owner may be on its way back', async () => {
    lan.crashRelay();
    owner.dispose();
    port.dispose();
    lan.startRelay();
    await lan.pass(2000);
    expect(asker.room?.vms).toMatchObject([{ id: vm.vmId, ownerPresent: false }]);
    await expect(forget()).rejects.toThrow('may be on its way back');
    await lan.pass(10_000);
    await forget();
    expect(knownVms()).toEqual([]);
  });

  it('ends for an owner that comes back after all: its port is refused, while others use the room', async () => {
    const { back } = await away(LONG_GONE_MS);
    await forget();
    const next = await lan.createVm(asker);
    const nextNic = new TestNic();
    lan.own('asker', next, nextNic);
    back();
    await lan.pass(10_000);
    expect(owner.state.kind).toBe('connected');
    expect(port.state).toMatchObject({ kind: 'refused', cause: 'unknown-vm' });
    expect(owner.room?.vms).toMatchObject([{ id: next.vmId, hostId: 'asker' }]);
    // Not even under an epoch of its own choice.
    const again = lan.own('owner', vm, new TestNic(), 7);
    await lan.pass(1000);
    expect(again.state).toMatchObject({ kind: 'refused', cause: 'unknown-vm' });
  });

  it('ends for an owner whose port comes back to a room that nobody has opened since', async () => {
    const { back } = await away(LONG_GONE_MS);
    await forget();
    asker.dispose();
    owner.dispose();
    await lan.pass(120_000);
    expect(lan.relay.stats().rooms).toBe(0);
    back();
    await lan.pass(10_000);
    expect(port.state).toMatchObject({ kind: 'refused', cause: 'unknown-vm' });
  });
});
