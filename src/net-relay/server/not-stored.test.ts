/** NR25: what the relay's disk refuses is refused by name, or waits; nobody is told anything that is not stored. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../../shared/ids.ts';
import { wasRefused, type HostClient } from '../client/host-client.ts';
import type { OwnerPort, TargetPort } from '../client/port-client.ts';
import { GATEWAY_IP, GATEWAY_MAC } from '../lan/lan.ts';
import type { CreatedVm } from '../protocol/relay-protocol.ts';
import { StoreRefusal, StoreUnsure } from '../store/key-value-store.ts';
import { ipFrame, numberOf, recordingStation, TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

const FULL = new StoreRefusal('full');
const SAYS_FULL = "The server's disk is full, so nothing was changed. Free some space on it, then try again.";
const gateway = { mac: GATEWAY_MAC, ip: GATEWAY_IP };

let lan: VirtualLan;
let a: HostClient;
beforeEach(async () => {
  lan = new VirtualLan();
  a = lan.host('a');
  await lan.pass(20);
});
afterEach(() => {
  lan.dispose();
});

const storedVms = (): string[] => [...lan.records.keys()].filter((key) => key.startsWith('vm/'));
const lease = (vm: CreatedVm): unknown => (JSON.parse(lan.records.get(`vm/default/${vm.vmId}`) ?? '{}') as { lease?: unknown }).lease;
const knownVms = (): string[] => lan.relay.roomStatus('default', lan.relay.defaultRoomKey)!.vms.map(({ id }) => id);
/** The outcome, as `value` or the error's message, once everything was delivered. */
async function settled<T>(promise: Promise<T>): Promise<T | string> {
  const outcome = promise.catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
  await lan.pass(20);
  return outcome;
}

describe('a relay whose disk is full', () => {
  afterEach(() => expect(lan.troubles).toEqual([]));

  it.each([
    ['full', SAYS_FULL],
    ['read-only', "The server's disk cannot be written, so nothing was changed. See to it, then try again."],
    ['failed', "The server's disk does not work, so nothing was changed. See to it, then try again."],
  ] as const)('refuses to make a VM by name (%s), and memory and disk agree', async (kind, says) => {
    const before = await lan.createVm(a);
    lan.storeError = new StoreRefusal(kind);
    expect(await settled(a.createVm({ memoryBytes: 1 << 27 }))).toBe(says);
    expect(knownVms()).toEqual([before.vmId]);
    expect(storedVms()).toEqual([`vm/default/${before.vmId}`]);
    expect(a.state.kind).toBe('connected');
    lan.storeError = null;
    const after = await lan.createVm(a);
    expect(after.ip).not.toBe(before.ip);
    lan.crashRelay();
    lan.startRelay();
    expect(knownVms().sort()).toEqual([before.vmId, after.vmId].sort());
  });

  it('keeps a VM that was to end, and ends it when there is space', async () => {
    const vm = await lan.createVm(a);
    lan.storeError = FULL;
    const error: unknown = await lan.settled(a.destroyVm(vm.vmId as VmId, vm.epoch as LeaseEpoch).catch((refusal: unknown) => refusal));
    expect(error).toEqual(new Error(SAYS_FULL));
    // The error does not say that another host has the VM.
    expect(wasRefused(error)).toBe(false);
    expect(knownVms()).toEqual([vm.vmId]);
    lan.storeError = null;
    await lan.settled(a.destroyVm(vm.vmId as VmId, vm.epoch as LeaseEpoch));
    expect([knownVms(), storedVms()]).toEqual([[], []]);
  });

  it('makes no VM in a room whose key it cannot keep', async () => {
    lan.storeError = FULL;
    const stranger = lan.host('b', 'other', 'key-of-other-0123456789');
    const error: unknown = await lan.settled(stranger.createVm({ memoryBytes: 1 }).catch((refusal: unknown) => refusal));
    expect(error).toEqual(new Error(SAYS_FULL));
    expect([...lan.records.keys()].filter((key) => key.includes('other'))).toEqual([]);
    lan.storeError = null;
    await lan.settled(stranger.createVm({ memoryBytes: 1 }));
    expect([...lan.records.keys()].filter((key) => key.includes('other'))).toEqual(['room/other', expect.stringMatching(/^vm\/other\//)]);
  });

  it('changes no forwards that it cannot keep', async () => {
    const vm = await lan.createVm(a);
    const forwards = [{ guestPort: 80, hostPort: 8080 }];
    lan.lans[0]!.setForwards(vm.vmId as VmId, forwards);
    lan.storeError = FULL;
    expect(() => lan.lans[0]!.setForwards(vm.vmId as VmId, [])).toThrow(FULL);
    expect(lan.lans[0]!.vms()[0]!.forwards).toEqual(forwards);
  });

  it('forgets a VM whose owner stayed away for a day as soon as it can store that', async () => {
    const vm = await lan.createVm(a);
    lan.network.relay = null;
    lan.network.cut('a');
    a.dispose();
    lan.storeError = FULL;
    await lan.pass(25 * 3_600_000);
    expect(knownVms()).toEqual([vm.vmId]);
    lan.storeError = null;
    await lan.pass(2000);
    expect([knownVms(), storedVms()]).toEqual([[], []]);
  }, 60_000);

  describe('in the middle of a move', () => {
    const migration = 'm1' as MigrationId;
    const outside = recordingStation();
    let vm: CreatedVm;
    let source: OwnerPort;
    let target: TargetPort;
    let sourceNic: TestNic;
    let targetNic: TestNic;
    let toGuest: (number: number) => void;

    beforeEach(async () => {
      lan.host('b');
      vm = await lan.createVm(a);
      outside.received.length = 0;
      const socket = lan.lans[0]!.plug(outside, { mac: GATEWAY_MAC });
      toGuest = (number) => socket.send(ipFrame(gateway, vm, number));
      [sourceNic, targetNic] = [new TestNic(), new TestNic()];
      source = lan.own('a', vm, sourceNic);
      target = lan.target('b', vm, targetNic, migration, 'a');
      await lan.pass(20);
    });

    const drain = async (): Promise<ReturnType<OwnerPort['sourceLease']>> => {
      const sourceLease = source.sourceLease(migration, 'b' as HostId);
      await lan.settled(sourceLease.hold());
      await lan.settled(sourceLease.drained());
      return sourceLease;
    };

    it('refuses a commit that waited for drained by name, too (NR11)', async () => {
      const sourceLease = source.sourceLease(migration, 'b' as HostId);
      await lan.settled(sourceLease.hold());
      const commit = settled(target.targetLease().commit());
      await lan.pass(20);
      lan.storeError = FULL;
      await lan.settled(sourceLease.drained());
      expect(await commit).toContain("The server's disk is full");
      expect(await settled(sourceLease.abort())).toEqual({ owner: 'source', epoch: 1 });
      expect(lease(vm)).toMatchObject({ state: 'owned', ownerHostId: 'a', epoch: 1 });
    });

    it('refuses the commit by name, and the source runs on: here, on disk, and after a restart', async () => {
      const sourceLease = await drain();
      lan.storeError = FULL;
      expect(await settled(target.targetLease().commit())).toContain("The server's disk is full");
      expect(lease(vm)).toMatchObject({ state: 'owned', ownerHostId: 'a', epoch: 1 });
      expect(await settled(sourceLease.abort())).toEqual({ owner: 'source', epoch: 1 });
      toGuest(1);
      sourceNic.send(ipFrame(vm, gateway, 2));
      await lan.pass(20);
      expect(sourceNic.received.map(numberOf)).toContain(1);
      expect(outside.received.map(numberOf)).toContain(2);
      lan.crashRelay();
      lan.storeError = null;
      lan.startRelay();
      await lan.pass(5000);
      toGuest(3);
      expect(source.state.kind).toBe('connected');
      expect(source.epoch).toBe(1);
    });

    it('remembers that the migration ended, once there is space', async () => {
      const sourceLease = await drain();
      lan.storeError = FULL;
      await settled(sourceLease.abort());
      expect(lease(vm)).toMatchObject({ ended: [] });
      lan.storeError = null;
      await lan.pass(500);
      expect(lease(vm)).toMatchObject({ ended: [{ migrationId: 'm1', how: 'kept' }] });
    });

    it('lets nothing of the target out, and the source keep its copy, until the sign of life is stored', async () => {
      const sourceLease = await drain();
      await lan.settled(target.targetLease().commit());
      const heard: unknown[] = [];
      sourceLease.onOutcome((outcome) => heard.push(outcome));
      lan.storeError = FULL;
      let alive = false;
      void Promise.resolve(target.targetLease().alive()).then(() => {
        alive = true;
      });
      targetNic.send(ipFrame(vm, gateway, 5));
      await lan.pass(10_000);
      // It is not given back either: the target lives.
      expect([heard, alive, outside.received.map(numberOf)]).toEqual([[], false, []]);
      expect(lease(vm)).toMatchObject({ state: 'committed-unconfirmed', ownerHostId: 'b', epoch: 2 });
      expect(lan.relay.stats().dropped['not-stored']).toBe(1);
      lan.storeError = null;
      await lan.pass(500);
      expect(heard).toEqual([{ owner: 'target', epoch: 2 }]);
      expect(alive).toBe(true);
      expect(lease(vm)).toMatchObject({ state: 'owned', ownerHostId: 'b', epoch: 2 });
      targetNic.send(ipFrame(vm, gateway, 6));
      await lan.pass(20);
      expect(outside.received.map(numberOf)).toEqual([6]);
    });

    it('gives a VM back that shows no sign of life as soon as it can store that', async () => {
      const sourceLease = await drain();
      await lan.settled(target.targetLease().commit());
      const heard: unknown[] = [];
      sourceLease.onOutcome((outcome) => heard.push(outcome));
      lan.storeError = FULL;
      await lan.pass(10_000);
      expect(heard).toEqual([]);
      expect(lease(vm)).toMatchObject({ state: 'committed-unconfirmed', ownerHostId: 'b', epoch: 2 });
      lan.storeError = null;
      await lan.pass(500);
      expect(heard).toEqual([{ owner: 'source', epoch: 3 }]);
      expect(lease(vm)).toMatchObject({ state: 'owned', ownerHostId: 'a', epoch: 3 });
    });
  });
});

describe('a relay whose store cannot tell what is stored', () => {
  it('answers nobody, is gone as after a crash, and comes back with what the store says then', async () => {
    const vm = await lan.createVm(a);
    const port = lan.own('a', vm, new TestNic());
    await lan.pass(20);
    const before = new Map(lan.records);
    lan.storeError = new StoreUnsure('The disk failed in the middle of a write (EIO).');
    let answer: unknown = 'none';
    void a.createVm({ name: 'second', memoryBytes: 1 << 27 }).then(
      (made) => (answer = made.name),
      (error: unknown) => (answer = error),
    );
    await lan.pass(5000);
    expect(answer).toBe('none');
    expect(a.state.kind).toBe('lost');
    expect(lan.said[0]).toContain('The disk failed in the middle of a write (EIO). The relay starts anew');
    expect(lan.records).toEqual(before);
    lan.storeError = null;
    await lan.pass(4500);
    // The request is repeated, as after any loss of the connection.
    expect(answer).toBe('second');
    expect(port.state.kind).toBe('connected');
    expect(lan.said.at(-1)).toBe('The relay is back.');
    // Said once, not with every try.
    expect(lan.said.filter((line) => line.includes('cannot start'))).toHaveLength(1);
  });

  it('is made anew once, by one try after another, when the store is unsure while the next relay is made', async () => {
    await lan.createVm(a);
    lan.storeError = new StoreUnsure('The disk failed in the middle of a write (EIO).');
    lan.opensAnyway = true;
    // The next relay has to store a key, and cannot.
    lan.records.clear();
    void a.createVm({ memoryBytes: 1 << 27 }).catch(() => undefined);
    const before = lan.storesOpened;
    await lan.pass(5500);
    expect(lan.storesOpened - before).toBe(5);
    expect(lan.said.filter((line) => line.includes('starts anew'))).toHaveLength(1);
    expect(lan.said.at(-1)).toBe('The relay cannot start: The disk failed in the middle of a write (EIO). It tries again every second.');
    lan.storeError = null;
    await lan.pass(5000);
    expect(lan.storesOpened - before).toBe(6);
    expect(lan.said.filter((line) => line === 'The relay is back.')).toHaveLength(1);
  });

  it('cannot be made at all while its store is unsure, and says why', () => {
    lan.storeError = new StoreUnsure('The disk failed in the middle of a write (EIO).');
    lan.opensAnyway = true;
    lan.records.clear();
    expect(() => lan.startRelay()).toThrow(lan.storeError);
  });
});
