import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LeaseEpoch, VmId } from '../../shared/ids.ts';
import type { HostClient } from '../client/host-client.ts';
import { MAX_ENDED_VMS } from '../limits/server-limits.ts';
import type { CreatedVm, EndedVm, Ending } from '../protocol/relay-protocol.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

let lan: VirtualLan;
let owner: HostClient;
let other: HostClient;

beforeEach(async () => {
  lan = new VirtualLan();
  [owner, other] = [lan.host('owner'), lan.host('other')];
  await lan.pass(20);
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

const end = async (vm: CreatedVm, ending?: Ending): Promise<void> => {
  await lan.settled(owner.destroyVm(vm.vmId as VmId, vm.epoch as LeaseEpoch, ending));
  await lan.pass(20);
};
const status = (): readonly EndedVm[] => lan.relay.roomStatus('default', lan.relay.defaultRoomKey)!.ended;

describe('a VM that ended (NR26)', () => {
  it('is told to all and to who comes later, with its name, its host and how it ended, until anybody dismisses it', async () => {
    const vm = await lan.createVm(owner);
    await end(vm, { how: 'powered-off' });
    const entry = { id: vm.vmId, name: vm.name, hostId: 'owner', hostName: 'owner', how: 'powered-off', why: null };
    expect(other.room?.ended).toMatchObject([entry]);
    expect(status()).toMatchObject([entry]);
    await lan.pass(5000);
    const late = lan.host('late');
    await lan.pass(20);
    expect(late.room?.ended).toMatchObject([entry]);
    expect(late.room?.ended[0]?.agoMs).toBeGreaterThanOrEqual(5000);
    await lan.settled(late.dismissEnded([vm.vmId, 'vm-unknown']));
    await lan.pass(20);
    for (const host of [owner, other, late]) expect(host.room?.ended).toEqual([]);
    expect(status()).toEqual([]);
  });

  it('is remembered of a tab that says it goes, even if that was the only one and the room was closed since', async () => {
    other.dispose();
    const vm = await lan.createVm(owner);
    void owner.destroyVm(vm.vmId as VmId, vm.epoch as LeaseEpoch, { how: 'tab-closed' }).catch(() => undefined);
    owner.dispose();
    await lan.pass(10 * 60_000);
    expect(lan.relay.stats().rooms).toBe(0);
    expect(status()).toMatchObject([{ name: vm.name, hostName: 'owner', how: 'tab-closed' }]);
    const again = lan.host('again');
    await lan.pass(20);
    expect(again.room?.ended).toMatchObject([{ id: vm.vmId, hostId: 'owner', how: 'tab-closed' }]);
  });

  it('is remembered of a tab whose socket was closed before it could speak, if its last word comes over HTTP (NR42)', async () => {
    const vm = await lan.createVm(owner);
    const key = lan.relay.defaultRoomKey;
    const word = { hostId: 'owner', hostToken: 'token-of-owner-0123456789', vms: [{ vmId: vm.vmId, epoch: vm.epoch, ending: { how: 'tab-closed' as const } }] };
    owner.dispose();
    await lan.pass(20);
    const lastWord = (change: object): boolean => lan.relay.lastWord('default', key, { ...word, ...change });
    expect(lan.relay.lastWord('default', 'another-key-0123456789', word)).toBe(false);
    // Of another tab, of one that nobody knows, of a VM that has moved since: nothing happens.
    expect([lastWord({ hostToken: 'token-of-other-0123456789' }), lastWord({ hostId: 'nobody' }), lastWord({ vms: [{ ...word.vms[0], epoch: 2 }] })]).toEqual([
      true,
      true,
      true,
    ]);
    expect(status()).toEqual([]);
    for (let times = 0; times < 2; times++) lastWord({});
    expect(status()).toMatchObject([{ id: vm.vmId, hostName: 'owner', how: 'tab-closed' }]);
  });

  it('says that it was forgotten by somebody, under the name its tab had', async () => {
    const vm = await lan.createVm(owner);
    const { relay } = lan.network;
    lan.network.relay = null;
    lan.network.cut('owner');
    await lan.pass(30_000);
    lan.network.relay = relay;
    await lan.settled(other.forgetVm(vm.vmId as VmId, vm.epoch as LeaseEpoch));
    await lan.pass(20);
    expect(other.room?.ended).toMatchObject([{ id: vm.vmId, hostName: 'owner', how: 'forgotten' }]);
  });

  it('is not remembered without an ending: nobody ever saw it run', async () => {
    await end(await lan.createVm(owner));
    expect(other.room?.ended).toEqual([]);
  });

  it('makes room for later ones beyond the bound', async () => {
    const made: CreatedVm[] = [];
    for (let count = 0; count < MAX_ENDED_VMS + 2; count++) {
      const vm = await lan.createVm(owner);
      made.push(vm);
      await end(vm, { how: 'failed', why: 'It broke.' });
    }
    expect(other.room?.ended.map(({ id }) => id)).toEqual(made.slice(2).map(({ vmId }) => vmId));
    expect(other.room?.ended[0]).toMatchObject({ how: 'failed', why: 'It broke.' });
  });

  it("is told to nobody without the room's key", async () => {
    const vm = await lan.createVm(owner);
    await end(vm, { how: 'powered-off' });
    expect(lan.relay.roomStatus('default', 'another-key-of-enough-letters')).toBeNull();
    const elsewhere = lan.host('elsewhere', 'elsewhere', 'the-key-of-another-room-000');
    await lan.pass(20);
    expect(elsewhere.room?.ended).toEqual([]);
    await lan.settled(elsewhere.dismissEnded([vm.vmId]));
    await lan.pass(20);
    expect(other.room?.ended).toHaveLength(1);
  });
});
