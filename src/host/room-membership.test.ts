import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostId, LeaseEpoch, RoomName, VmId } from '../shared/ids.ts';
import { VirtualLan } from '../net-relay/testing/virtual-lan.ts';
import { RoomMembership } from './room-membership.ts';

const VM_BYTES = 1 << 27;

let lan: VirtualLan;
/** What each member heard, in order. */
let told: Record<string, string[]>;
beforeEach(() => {
  lan = new VirtualLan();
  told = {};
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

function member(id: string): RoomMembership {
  const room = lan.keep(
    new RoomMembership({
      self: id as HostId,
      name: `tab ${id}`,
      hostToken: `token-of-${id}-0123456789`,
      clock: lan.clock,
      url: 'ws://relay/relay/host',
      openSocket: lan.network.openSocket(id),
    }),
  );
  const heard: string[] = (told[id] = []);
  room.joined.on(() => void heard.push('joined'));
  room.lost.on(() => void heard.push('lost'));
  room.returned.on(() => void heard.push('returned'));
  room.refused.on((reason) => void heard.push(`refused: ${reason}`));
  room.hostLeft.on((hostId) => void heard.push(`${hostId} left`));
  room.heard.on(({ from, message }) => void heard.push(`${from} says ${message.type}`));
  room.misheard.on(({ from }) => void heard.push(`${from} is not understood`));
  room.undeliverable.on(({ to, message }) => void heard.push(`${to} does not get ${message.type}`));
  return room;
}

async function joined(id: string): Promise<RoomMembership> {
  const room = member(id);
  room.join('default' as RoomName, lan.relay.defaultRoomKey, { ownerSecret: 'x'.repeat(22) });
  await lan.pass(20);
  return room;
}

describe("a tab's membership of a room", () => {
  it('is of nothing before it joins: what is asked for says so', async () => {
    const room = member('a');
    await expect(room.createVm({ memoryBytes: VM_BYTES })).rejects.toThrow('has not joined a room');
    expect([room.hostIds(), room.vms, room.ownerOf('vm-1' as VmId), room.vmNameOf('vm-1'), told['a']]).toEqual([['a'], [], null, 'The VM', []]);
  });

  it('knows hosts and VMs as the relay lists them, and tells once that it has joined', async () => {
    const a = await joined('a');
    const b = await joined('b');
    const made = await lan.settled(a.createVm({ name: 'web', memoryBytes: VM_BYTES }));
    await lan.pass(200);
    for (const room of [a, b]) {
      expect(room.hostIds()).toEqual(['a', 'b']);
      expect([room.vmNameOf(made.vmId), room.ownerOf(made.vmId as VmId), room.hostNameOf('a')]).toEqual(['web', 'a', 'tab a']);
    }
    await lan.settled(a.destroyVm(made.vmId as VmId, made.epoch as LeaseEpoch, { how: 'powered-off' }));
    await lan.pass(200);
    expect([b.vms, b.ended.map(({ name, how }) => [name, how])]).toEqual([[], [['web', 'powered-off']]]);
    await lan.settled(b.dismissEnded([made.vmId]));
    await lan.pass(200);
    expect([a.ended, told]).toEqual([[], { a: ['joined'], b: ['joined'] }]);
  });

  it('passes on what others say, names what it does not understand, and what could not be delivered', async () => {
    const a = await joined('a');
    await joined('b');
    a.sendToRoom({ type: 'details-wanted' });
    a.sendToHost('b' as HostId, { type: 'host-ready' });
    a.sendToHost('b' as HostId, { type: 'from the future' } as never);
    a.sendToHost('nobody' as HostId, { type: 'cancel', requestId: 'r1', vmId: 'vm-1' as VmId, migrateRequestId: null });
    await lan.pass(200);
    expect(told).toEqual({ a: ['joined', 'nobody does not get cancel'], b: ['joined', 'a says details-wanted', 'a says host-ready', 'a is not understood'] });
  });

  it('does not take others for gone after an outage before they had time to return', async () => {
    const a = await joined('a');
    const b = await joined('b');
    // From a while after it has joined.
    await lan.pass(8000);
    b.dispose();
    await lan.pass(200);
    expect(told['a']).toEqual(['joined', 'b left']);
    await joined('c');
    lan.crashRelay();
    await lan.pass(200);
    lan.network.cut('c');
    expect(a.isPresent('c' as HostId)).toBe(true);
    lan.startRelay();
    const present = a.whenPresent('c' as HostId);
    await lan.pass(5000);
    expect(await present).toBe(true);
    expect(told['a']).toEqual(['joined', 'b left', 'lost', 'returned']);
    expect(told['c']).toEqual(['joined', 'lost', 'returned']);
  });

  it('counts a host that does not come back as gone, a while after the server has', async () => {
    const a = await joined('a');
    const c = await joined('c');
    lan.crashRelay();
    c.dispose();
    await lan.pass(200);
    lan.startRelay();
    await lan.pass(3000);
    expect([a.hostIds(), a.expectedHostIds()]).toEqual([['a'], ['c']]);
    await lan.pass(8000);
    expect([a.expectedHostIds(), told['a']]).toEqual([[], ['joined', 'lost', 'returned', 'c left']]);
    expect(await a.whenPresent('c' as HostId)).toBe(false);
  });

  it('ends for good when the server refuses it, with the sentence that every later wish is answered with', async () => {
    const room = member('a');
    room.join('default' as RoomName, 'not-the-key-of-this-room', { ownerSecret: 'x'.repeat(22) });
    await lan.pass(2000);
    const [sentence] = told['a'] ?? [];
    expect(sentence).toMatch(/^refused: \w+/);
    await expect(room.createVm({ memoryBytes: VM_BYTES })).rejects.toThrow(room.refusal ?? 'no refusal');
    expect(`refused: ${room.refusal ?? ''}`).toBe(sentence);
  });
});
