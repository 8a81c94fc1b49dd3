import { afterEach, describe, expect, it } from 'vitest';
import type { LeaseEpoch, MigrationId } from '../../shared/ids.ts';
import type { OwnerPort, TargetPort } from '../client/port-client.ts';
import type { Lan } from '../lan/lan.ts';
import { ipFrame, numberOf, recordingStation, RelayHarness, TestNic, until, type TestHost, type TestVm } from '../testing/relay-harness.ts';

let harness: RelayHarness;
afterEach(async () => {
  await harness[Symbol.asyncDispose]();
});

const connected = (port: OwnerPort | TargetPort): Promise<void> => until(() => port.state.kind === 'connected', { on: (listener) => port.onState(listener) });
const gateway = { mac: '02:00:00:00:00:01', ip: '10.86.0.1' };

/** A room with two hosts, a VM at the first, and a station in the gateway's place. */
async function twoHosts(): Promise<{ a: TestHost; b: TestHost; vm: TestVm; lan: Lan; toGuest: (number: number) => void; fromGuests: Uint8Array[] }> {
  const lans: Lan[] = [];
  harness = await RelayHarness.start({
    openGateway: (lan) => {
      lans.push(lan);
      return { dispose: () => undefined };
    },
  });
  const a = await harness.host('host-a');
  const b = await harness.host('host-b');
  const vm = await a.createVm();
  const lan = lans[0]!;
  const station = recordingStation();
  const socket = lan.plug(station, { mac: gateway.mac as never });
  return { a, b, vm, lan, fromGuests: station.received, toGuest: (number) => socket.send(ipFrame(gateway, vm, number)) };
}

describe('the relay, over real sockets', () => {
  it('moves a VM: frames sent during the switchover arrive at the target, all and in order (I4, A5)', async () => {
    const { a, b, vm, toGuest, fromGuests } = await twoHosts();
    const nicA = new TestNic();
    const nicB = new TestNic(false);
    const source = a.own(vm, nicA);
    await connected(source);
    for (let number = 0; number < 10; number++) toGuest(number);
    const lease = source.sourceLease('m1' as MigrationId, b.id);
    const target = b.target(vm, nicB, 'm1', a);
    await connected(target);
    const held = lease.hold();
    await held;
    expect(nicA.received.map(numberOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (let number = 10; number < 300; number++) toGuest(number);
    nicA.send(ipFrame(vm, gateway, 7000));
    nicA.running = false;
    await lease.drained();
    const outcome = new Promise((resolve) => lease.onOutcome(resolve));
    const epoch = await target.targetLease().commit();
    expect(epoch).toBe(2);
    expect(fromGuests.map(numberOf)).toEqual([7000]);
    // A frozen source that wakes up now is refused (C4).
    nicA.send(ipFrame(vm, gateway, 6666));
    nicB.running = true;
    await target.targetLease().alive();
    expect(await outcome).toEqual({ owner: 'target', epoch: 2 });
    const owner = target.asOwner();
    nicB.send(ipFrame(vm, gateway, 7001));
    for (let number = 300; number < 320; number++) toGuest(number);
    await until(() => nicB.received.filter((frame) => frame[12] === 0x08 && frame[13] === 0).length === 310, nicB.got);
    const numbers = nicB.received.filter((frame) => frame[13] === 0).map(numberOf);
    expect(numbers).toEqual(Array.from({ length: 310 }, (_, index) => index + 10));
    expect(fromGuests.map(numberOf)).toEqual([7000, 7001]);
    expect(owner.epoch).toBe(2);
    expect(harness.relay.roomStatus('default', harness.relay.defaultRoomKey)?.vms[0]).toMatchObject({
      mac: vm.mac,
      ip: vm.ip,
      ownerHostId: 'host-b',
      epoch: 2,
    });
  });

  it('gives frames that the stopped source had not delivered to the target, ahead of those held', async () => {
    const { a, b, vm, toGuest } = await twoHosts();
    const nicA = new TestNic(false);
    const nicB = new TestNic();
    const source = a.own(vm, nicA);
    const target = b.target(vm, nicB, 'm1', a);
    await Promise.all([connected(source), connected(target)]);
    for (let number = 0; number < 100; number++) toGuest(number);
    const lease = source.sourceLease('m1' as MigrationId, b.id);
    await lease.hold();
    for (let number = 100; number < 200; number++) toGuest(number);
    await lease.drained();
    await target.targetLease().commit();
    await until(() => nicB.received.length >= 200, nicB.got);
    expect(nicB.received.slice(0, 200).map(numberOf)).toEqual(Array.from({ length: 200 }, (_, index) => index));
  });

  it('gives the VM back at epoch + 2 with every frame, if the target gives no sign of life (C4)', async () => {
    const { a, b, vm, toGuest } = await twoHosts();
    const nicA = new TestNic();
    const nicB = new TestNic();
    const source = a.own(vm, nicA);
    const target = b.target(vm, nicB, 'm1', a);
    await Promise.all([connected(source), connected(target)]);
    const lease = source.sourceLease('m1' as MigrationId, b.id);
    await lease.hold();
    for (let number = 0; number < 50; number++) toGuest(number);
    await lease.drained();
    const revoked = new Promise<void>((resolve) => target.targetLease().onRevoked(resolve));
    const outcome = new Promise((resolve) => lease.onOutcome(resolve));
    expect(await target.targetLease().commit()).toBe(2);
    await revoked;
    expect(await outcome).toEqual({ owner: 'source', epoch: 3 });
    expect(source.epoch).toBe(3);
    await until(() => nicA.received.length >= 50, nicA.got);
    expect(nicA.received.slice(0, 50).map(numberOf)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(target.state).toMatchObject({ kind: 'refused', cause: 'stale-epoch' });
  });

  it('refuses a commit before the hold, and one after an abort', async () => {
    const { a, b, vm } = await twoHosts();
    const source = a.own(vm, new TestNic());
    const target = b.target(vm, new TestNic(), 'm1', a);
    await Promise.all([connected(source), connected(target)]);
    const lease = source.sourceLease('m1' as MigrationId, b.id);
    await expect(target.targetLease().commit()).rejects.toMatchObject({ cause: 'commit-refused' });
    await lease.hold();
    await lease.drained();
    expect(await lease.abort()).toEqual({ owner: 'source', epoch: 1 });
    const again = b.target(vm, new TestNic(), 'm1', a);
    await expect(again.targetLease().commit()).rejects.toMatchObject({ cause: 'commit-refused' });
  });

  it('keeps leases and keys across a restart; the owner takes its port up again by itself', async () => {
    const { a, b, vm } = await twoHosts();
    const nicA = new TestNic();
    const source = a.own(vm, nicA);
    await connected(source);
    const key = harness.relay.defaultRoomKey;
    harness.restart();
    await until(() => source.state.kind === 'lost', { on: (listener) => source.onState(listener) });
    await connected(source);
    expect(harness.relay.defaultRoomKey).toBe(key);
    expect(source.epoch).toBe(1);
    const target = b.target(vm, new TestNic(), 'm2', a);
    await connected(target);
    const lease = source.sourceLease('m2' as MigrationId, b.id);
    await lease.hold();
    await lease.drained();
    expect(await target.targetLease().commit()).toBe(2 as LeaseEpoch);
  });

  it('keeps rooms apart: no frame crosses, whatever its addresses (B6)', async () => {
    harness = await RelayHarness.start();
    const a = await harness.host('host-a', { room: 'red', key: 'the-key-of-red-01' });
    const b = await harness.host('host-b', { room: 'blue', key: 'the-key-of-blue-1' });
    const vmA = await a.createVm('same');
    const vmB = await b.createVm('same');
    expect(vmA.ip).toBe(vmB.ip);
    const [nicA, nicB] = [new TestNic(), new TestNic()];
    const portA = a.own(vmA, nicA);
    const portB = b.own(vmB, nicB);
    await Promise.all([connected(portA), connected(portB)]);
    nicA.send(ipFrame(vmA, vmB, 1));
    nicA.send(ipFrame(vmA, { mac: 'ff:ff:ff:ff:ff:ff', ip: '10.86.0.255' }, 2));
    // A VM of the other room that answers its own room's broadcast proves that everything before it was handled.
    const second = await a.createVm();
    const nicSecond = new TestNic();
    await connected(a.own(second, nicSecond));
    nicA.send(ipFrame(vmA, second, 3));
    await until(() => nicSecond.received.length === 1, nicSecond.got);
    expect(nicB.received).toEqual([]);
  });

  it('counts and drops spoofed and foreign frames by name (B6)', async () => {
    const { a, vm, fromGuests } = await twoHosts();
    const nic = new TestNic();
    await connected(a.own(vm, nic));
    nic.send(ipFrame({ mac: '02:5a:00:00:00:99', ip: vm.ip }, gateway, 1));
    nic.send(ipFrame({ mac: vm.mac, ip: '10.86.0.200' }, gateway, 2));
    nic.send(ipFrame({ mac: vm.mac, ip: gateway.ip }, gateway, 3));
    nic.send(ipFrame(vm, gateway, 4));
    const room = new Promise<void>((resolve) => a.client.onTraffic(() => resolve()));
    await room;
    expect(fromGuests.map(numberOf)).toEqual([4]);
    expect(harness.relay.stats().dropped).toEqual({ 'foreign-mac': 1, 'spoofed-ip': 2 });
  });
});
