/** Rooms that strangers ask for, and which of them are kept (NR30). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RELAY_PROTOCOL_VERSION } from '../protocol/relay-protocol.ts';
import { KEEP_UNUSED_ROOM_MS } from '../limits/server-limits.ts';
import { StoreRefusal } from '../store/key-value-store.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

const keyOf = (room: string): string => `a-key-of-${room}-0123456789`;

let lan: VirtualLan;
beforeEach(() => {
  lan = new VirtualLan({ storedRooms: 4, roomsPerAddress: 2 });
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

const roomsStored = (): string[] => [...lan.records.keys()].filter((key) => key.startsWith('room/')).sort();

/** Somebody opens the room, and leaves it. */
async function visit(room: string, makesVm: boolean): Promise<void> {
  const host = lan.host(`visitor-of-${room}`, room, keyOf(room));
  await lan.pass(20);
  if (makesVm) {
    const vm = await lan.createVm(host);
    await lan.settled(host.destroyVm(vm.vmId as never, vm.epoch as never));
  }
  host.dispose();
  await lan.pass(65_000);
}

describe('rooms that strangers ask for (NR30)', () => {
  it('are not stored while no VM is in them, are forgotten when everybody has left, and keep nobody else out', async () => {
    for (let number = 0; number < 10; number++) await visit(`name-${number}`, false);
    expect(roomsStored()).toEqual(['room/default']);
    expect(lan.relay.checkKey('name-1', keyOf('name-1'))).toBe(false);
    const other = lan.host('other', 'name-1', 'another-key-0123456789');
    await lan.pass(20);
    expect(other.state.kind).toBe('connected');
  });

  it('belong to whoever is in them as long as he is, over a restart of the relay too', async () => {
    const first = lan.host('a', 'mine', keyOf('mine'));
    await lan.pass(20);
    const second = lan.host('b', 'mine', 'another-key-0123456789');
    await lan.pass(20);
    expect(second.state).toMatchObject({ kind: 'refused', cause: 'key' });
    lan.crashRelay();
    lan.startRelay();
    await lan.pass(5000);
    expect(first.state.kind).toBe('connected');
    expect(lan.relay.checkKey('mine', keyOf('mine'))).toBe(true);
  });

  it('are stored with their first VM, and keep their key for 30 days after the last one has left', async () => {
    await visit('mine', true);
    expect(roomsStored()).toEqual(['room/default', 'room/mine']);
    lan.wallAheadMs += KEEP_UNUSED_ROOM_MS - 3_600_000;
    await lan.pass(61_000);
    const other = lan.host('b', 'mine', 'another-key-0123456789');
    await lan.pass(20);
    expect(other.state).toMatchObject({ kind: 'refused', cause: 'key' });
    lan.wallAheadMs += 3_600_000;
    await lan.pass(61_000);
    expect(roomsStored()).toEqual(['room/default']);
  });

  it('of an older server, which did not note when they were used, are kept for 30 days as well', async () => {
    lan.crashRelay();
    lan.records.set('room/old', JSON.stringify({ keyDigest: 'a'.repeat(64) }));
    lan.startRelay();
    lan.wallAheadMs += KEEP_UNUSED_ROOM_MS - 3_600_000;
    await lan.pass(61_000);
    expect(roomsStored()).toEqual(['room/default', 'room/old']);
    lan.wallAheadMs += 3_600_000;
    await lan.pass(61_000);
    expect(roomsStored()).toEqual(['room/default']);
  });

  it('wait for space on the disk, and expire no sooner for it', async () => {
    const host = lan.host('a', 'mine', keyOf('mine'));
    await lan.pass(20);
    const vm = await lan.createVm(host);
    lan.wallAheadMs += KEEP_UNUSED_ROOM_MS;
    await lan.settled(host.destroyVm(vm.vmId as never, vm.epoch as never));
    lan.storeError = new StoreRefusal('full');
    host.dispose();
    await lan.pass(125_000);
    expect(lan.relay.stats().refusals).not.toHaveProperty('internal');
    lan.storeError = null;
    await lan.pass(61_000);
    expect(roomsStored()).toEqual(['room/default', 'room/mine']);
    lan.storeError = new StoreRefusal('full');
    lan.wallAheadMs += KEEP_UNUSED_ROOM_MS;
    await lan.pass(61_000);
    expect(lan.relay.stats().refusals).not.toHaveProperty('internal');
    lan.storeError = null;
    await lan.pass(61_000);
    expect(roomsStored()).toEqual(['room/default']);
  });

  it('do not expire while somebody or a VM is in them', async () => {
    const host = lan.host('a', 'mine', keyOf('mine'));
    await lan.pass(20);
    await lan.createVm(host);
    lan.wallAheadMs += 2 * KEEP_UNUSED_ROOM_MS;
    await lan.pass(121_000);
    expect(roomsStored()).toEqual(['room/default', 'room/mine']);
  });

  it('get no VM while too many are stored, and get one when some have expired', async () => {
    for (const room of ['one', 'two', 'three']) await visit(room, true);
    const late = lan.host('late', 'late', keyOf('late'));
    await lan.pass(20);
    await expect(lan.settled(late.createVm({ memoryBytes: 1 }))).rejects.toThrow('as many rooms with PCs as it can');
    lan.wallAheadMs += KEEP_UNUSED_ROOM_MS;
    await lan.pass(61_000);
    await lan.createVm(late);
    expect(roomsStored()).toEqual(['room/default', 'room/late']);
  });

  it('are refused to an address that has opened as many as it may, not to others', async () => {
    const said: string[] = [];
    const open = (room: string, address: string | null) => {
      const events = lan.relay.connect(
        'host',
        {
          backlogBytes: 0,
          sendText: (text) => void said.push(`${room} ${/"(?:cause|type)":"(welcome|[a-z]+-full)"/.exec(text)?.[1] ?? ''}`.trim()),
          sendUtf8: () => undefined,
          sendBinary: () => undefined,
          pause: () => undefined,
          resume: () => undefined,
          close: () => undefined,
          terminate: () => undefined,
        },
        { address },
      );
      events.text(
        JSON.stringify({
          type: 'hello',
          version: RELAY_PROTOCOL_VERSION,
          room,
          key: keyOf(room),
          hostId: `h-${room}`,
          hostToken: 'a-token-0123456789',
          name: room,
        }),
      );
      return events;
    };
    const [first] = ['one', 'two', 'three'].map((room) => open(room, '192.0.2.1'));
    open('four', '192.0.2.2');
    expect(said.filter((answer) => answer.includes(' '))).toEqual(['one welcome', 'two welcome', 'three address-full', 'four welcome']);
    first!.closed(true);
    await lan.pass(65_000);
    open('five', '192.0.2.1');
    expect(said.filter((answer) => answer.startsWith('five '))).toEqual(['five welcome']);
  });
});
