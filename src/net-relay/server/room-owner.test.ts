/** What the owner of a room may do (NR43 to NR46). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostId, RoomName } from '../../shared/ids.ts';
import { connectHost, type HostClient } from '../client/host-client.ts';
import { RequestRefused } from './request-refused.ts';
import type { RoomOwner } from './open-rooms.ts';
import { StoreRefusal } from '../store/key-value-store.ts';
import { TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

const KEY = 'a-key-of-mine-0123456789';
const SECRET = 'the-owners-secret-0123456789';
const AGAIN_MS = 5000;

let lan: VirtualLan;
beforeEach(() => {
  lan = new VirtualLan();
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

interface Joined {
  readonly room?: string;
  readonly key?: string;
  readonly ownerSecret?: string;
}

async function join(hostId: string, { room = 'mine', key = KEY, ownerSecret = `no-secret-of-${hostId}-0123456789` }: Joined = {}): Promise<HostClient> {
  const host = lan.keep(
    connectHost({
      url: 'ws://relay/relay/host',
      room: room as RoomName,
      key,
      hostId: hostId as HostId,
      hostToken: `token-of-${hostId}-0123456789`,
      name: hostId,
      ownerSecret,
      clock: lan.clock,
      openSocket: lan.network.openSocket(hostId),
      random: () => 0,
    }),
  );
  await lan.pass(100);
  return host;
}

const owner = (room = 'mine', secret = SECRET): RoomOwner => {
  const rights = lan.relay.owner(room, secret);
  if (rights === null) throw new Error('This is not the owner.');
  return rights;
};
const inDefault = (): Joined => ({ room: 'default', key: lan.relay.defaultRoomKey });

async function restart(): Promise<void> {
  lan.crashRelay();
  lan.startRelay();
  await lan.pass(AGAIN_MS);
}

describe('the owner of a room', () => {
  it('is who opens it, with the secret that the hello had; nobody else is, and a restart changes nothing (NR43)', async () => {
    const lecturer = await join('lecturer', { ownerSecret: SECRET });
    const guest = await join('guest');
    expect([lecturer.isOwner, guest.isOwner]).toEqual([true, false]);
    expect([lan.relay.owner('mine', 'no-secret-of-guest-0123456789'), lan.relay.owner('other', SECRET), lan.relay.owner('mine', KEY)]).toEqual([
      null,
      null,
      null,
    ]);
    await lan.createVm(guest);
    await restart();
    expect([lecturer.state.kind, lecturer.isOwner, guest.isOwner]).toEqual(['connected', true, false]);
    expect((await join('laptop', { ownerSecret: SECRET })).isOwner).toBe(true);
  });

  it('of the default room has the secret that the server prints, which stays the same (NR43)', async () => {
    const { defaultOwnerSecret: secret } = lan.relay;
    expect((await join('operator', { ...inDefault(), ownerSecret: secret })).isOwner).toBe(true);
    expect((await join('guest', inDefault())).isOwner).toBe(false);
    await restart();
    expect(lan.relay.defaultOwnerSecret).toBe(secret);
  });

  it('is nobody of a room whose opener brought no secret', async () => {
    lan.host('old-page', 'mine', KEY);
    await lan.pass(100);
    await join('late', { ownerSecret: SECRET });
    expect(lan.relay.owner('mine', SECRET)).toBeNull();
  });
});

describe('a changed key (NR44)', () => {
  it('lets nobody in with the old one, and keeps who is in the room', async () => {
    const [lecturer, guest] = [await join('lecturer', { ownerSecret: SECRET }), await join('guest')];
    await lan.createVm(guest);
    const heard: (string | null)[] = [];
    guest.onKey((key) => heard.push(key));
    const key = owner().changeKey();
    await lan.pass(100);
    expect([heard, lecturer.key, guest.key]).toEqual([[key], key, key]);
    expect((await join('stranger')).state).toMatchObject({ kind: 'refused', cause: 'key' });
    expect((await join('invited', { key })).state.kind).toBe('connected');
    expect([lan.relay.checkKey('mine', KEY), lan.relay.checkKey('mine', key)]).toEqual([false, true]);
    await restart();
    expect([lecturer.state.kind, guest.state.kind, lan.relay.checkKey('mine', KEY), lan.relay.checkKey('mine', key)]).toEqual([
      'connected',
      'connected',
      false,
      true,
    ]);
  });

  it('is told to a host that was cut off meanwhile, as it comes back with the old one; its VM runs on', async () => {
    const vmOwner = await join('owner', inDefault());
    const vm = await lan.createVm(vmOwner);
    const port = lan.own('owner', vm, new TestNic());
    await lan.pass(100);
    const { relay } = lan.network;
    lan.network.relay = null;
    lan.network.cut('owner');
    const key = owner('default', lan.relay.defaultOwnerSecret).changeKey();
    await lan.pass(20_000);
    lan.network.relay = relay;
    await lan.pass(AGAIN_MS);
    expect([vmOwner.state.kind, vmOwner.key, port.state.kind]).toEqual(['connected', key, 'connected']);
    expect(lan.relay.defaultRoomKey).toBe(key);
    // Its token is the host's alone.
    expect((await join('guest', { room: 'default', key: KEY })).state).toMatchObject({ kind: 'refused', cause: 'key' });
  });

  it('that nobody can tell any more after a restart is at least known to be another one', async () => {
    const lecturer = await join('lecturer-2', { room: 'two', ownerSecret: SECRET });
    const member = await join('member', { room: 'two' });
    await lan.createVm(member);
    const { relay } = lan.network;
    lan.network.relay = null;
    lan.network.cut('member');
    owner('two').changeKey();
    await lan.pass(100);
    lan.network.relay = relay;
    const heard: (string | null)[] = [];
    member.onKey((key) => heard.push(key));
    await restart();
    expect([member.state.kind, heard, lecturer.state.kind]).toEqual(['connected', [null], 'connected']);
  });

  it('is told to the owner, wherever it comes from with the old one', async () => {
    await join('guest');
    expect(lan.relay.owner('mine', SECRET)).toBeNull();
    await join('lecturer', { room: 'two', ownerSecret: SECRET });
    const key = owner('two').changeKey();
    const phone = await join('phone', { room: 'two', ownerSecret: SECRET });
    expect([phone.state.kind, phone.key, phone.isOwner]).toEqual(['connected', key, true]);
    expect((await join('stranger', { room: 'two' })).state.kind).toBe('refused');
  });

  it('is not changed where the disk takes no more', async () => {
    const { defaultRoomKey: before, defaultOwnerSecret: secret } = lan.relay;
    const guest = await join('guest', inDefault());
    lan.storeError = new StoreRefusal('full', 'ENOSPC');
    expect(() => owner('default', secret).changeKey()).toThrow(StoreRefusal);
    lan.storeError = null;
    await lan.pass(100);
    expect([lan.relay.defaultRoomKey, guest.key, lan.relay.checkKey('default', before)]).toEqual([before, before, true]);
  });
});

describe('a removed host (NR45)', () => {
  it('is out with its VMs and all its sockets, knows no key any more, and does not come back over a restart', async () => {
    const { defaultOwnerSecret: secret } = lan.relay;
    const [rogue, guest] = [await join('rogue', inDefault()), await join('guest', inDefault())];
    const [own, others] = [await lan.createVm(rogue, 'rogues'), await lan.createVm(guest, 'guests')];
    const port = lan.own('rogue', own, new TestNic());
    const target = lan.target('rogue', others, new TestNic(), 'm1', 'guest');
    const guestsPort = lan.own('guest', others, new TestNic());
    await lan.pass(100);
    const before = lan.relay.defaultRoomKey;
    const key = owner('default', secret).removeHost('rogue');
    await lan.pass(100);
    expect(rogue.state).toMatchObject({ kind: 'refused', cause: 'removed' });
    expect([port.state.kind, target.state.kind, guestsPort.state.kind]).toEqual(['refused', 'refused', 'connected']);
    expect([rogue.key, guest.key]).toEqual([before, key]);
    expect(guest.room?.hosts.map(({ id }) => id)).toEqual(['guest']);
    expect(guest.room?.vms.map(({ name }) => name)).toEqual(['guests']);
    expect(guest.room?.ended).toMatchObject([{ name: 'rogues', hostName: 'rogue', how: 'host-removed' }]);
    expect((await join('rogue', { room: 'default', key: before })).state).toMatchObject({ kind: 'refused', cause: 'key' });
    await restart();
    expect((await join('rogue', { room: 'default', key: before })).state).toMatchObject({ kind: 'refused', cause: 'key' });
    expect(guest.state.kind).toBe('connected');
  });

  it('is not removed while a VM that it has or is to have is handed over, nor is the room closed; and is then', async () => {
    const { defaultOwnerSecret: secret } = lan.relay;
    const [source, target] = [await join('source', inDefault()), await join('target', inDefault())];
    const vm = await lan.createVm(source, 'mover');
    const [nic, copy] = [new TestNic(), new TestNic(false)];
    const from = lan.own('source', vm, nic);
    const to = lan.target('target', vm, copy, 'm1', 'source');
    await lan.pass(100);
    const lease = from.sourceLease('m1' as never, 'target' as HostId);
    await lan.settled(lease.hold());
    nic.running = false;
    await lan.settled(Promise.resolve(lease.drained()));
    for (const host of ['source', 'target'])
      expect(() => owner('default', secret).removeHost(host)).toThrow(new RequestRefused('mover is being handed over; try again in a moment.'));
    expect(() => owner('default', secret).close()).toThrow('mover is being handed over');
    const taken = to.targetLease();
    await lan.settled(taken.commit());
    expect(() => owner('default', secret).removeHost('source')).toThrow('mover is being handed over');
    copy.running = true;
    await lan.settled(Promise.resolve(taken.alive()));
    await lan.pass(100);
    owner('default', secret).removeHost('source');
    await lan.pass(100);
    expect([source.state.kind, target.state.kind, target.room?.vms.map(({ hostId }) => hostId)]).toEqual(['refused', 'connected', ['target']]);
  });

  it('must be one of the room', async () => {
    await join('lecturer', { ownerSecret: SECRET });
    expect(() => owner().removeHost('nobody')).toThrow('There is no such host in this room.');
  });
});

describe('a closed room (NR46)', () => {
  it("has no VM, no host and no key any more, over a restart too; its name is anybody's", async () => {
    const [lecturer, guest] = [await join('lecturer', { ownerSecret: SECRET }), await join('guest')];
    await lan.createVm(guest);
    expect(owner().close()).toBeNull();
    await lan.pass(100);
    for (const host of [lecturer, guest]) expect(host.state).toMatchObject({ kind: 'refused', cause: 'room-closed' });
    expect([...lan.records.keys()].filter((key) => key.includes('/mine'))).toEqual([]);
    expect([lan.relay.checkKey('mine', KEY), lan.relay.owner('mine', SECRET), lan.relay.stats().rooms]).toEqual([false, null, 0]);
    await restart();
    const next = await join('next', { key: 'another-key-0123456789', ownerSecret: 'another-secret-0123456789' });
    expect([next.isOwner, next.room?.vms, next.room?.ended]).toEqual([true, [], []]);
  });

  it('is the default room with another key, and nobody in it', async () => {
    const { defaultRoomKey: before, defaultOwnerSecret: secret } = lan.relay;
    const guest = await join('guest', inDefault());
    await lan.createVm(guest);
    const key = owner('default', secret).close();
    await lan.pass(100);
    expect(guest.state).toMatchObject({ kind: 'refused', cause: 'room-closed' });
    expect([key, key === before]).toEqual([lan.relay.defaultRoomKey, false]);
    expect(lan.relay.roomStatus('default', lan.relay.defaultRoomKey)).toEqual({ hosts: [], vms: [], ended: [] });
    expect((await join('operator', { ...inDefault(), ownerSecret: secret })).isOwner).toBe(true);
  });

  it('stays open where the disk takes no more', async () => {
    const guest = await join('guest', inDefault());
    const vm = await lan.createVm(guest);
    const secret = lan.relay.defaultOwnerSecret;
    lan.storeError = new StoreRefusal('full', 'ENOSPC');
    expect(() => owner('default', secret).close()).toThrow(StoreRefusal);
    lan.storeError = null;
    await lan.pass(100);
    expect([guest.state.kind, guest.room?.vms.map(({ id }) => id)]).toEqual(['connected', [vm.vmId]]);
  });
});
