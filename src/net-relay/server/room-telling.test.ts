/** What a message to a whole room costs the relay. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RELAY_PROTOCOL_VERSION, type RelayToHost } from '../protocol/relay-protocol.ts';
import { TELL_ROOM_BYTES_PER_SECOND } from '../limits/server-limits.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

let lan: VirtualLan;
beforeEach(() => {
  lan = new VirtualLan();
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

const decoded = (utf8: Uint8Array): RelayToHost => JSON.parse(new TextDecoder().decode(utf8)) as RelayToHost;

/** A host's socket that keeps what was sent to a whole room as it came. */
class Listener {
  shared: Uint8Array[] = [];
  private readonly events;

  constructor(hostId: string) {
    this.events = lan.relay.connect('host', {
      backlogBytes: 0,
      sendText: () => undefined,
      sendUtf8: (utf8) => void this.shared.push(utf8),
      sendBinary: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      close: () => undefined,
      terminate: () => undefined,
    });
    this.say({
      type: 'hello',
      version: RELAY_PROTOCOL_VERSION,
      room: 'default',
      key: lan.relay.defaultRoomKey,
      hostId,
      hostToken: `token-of-${hostId}-0123456789`,
      name: hostId,
    });
  }

  say(message: object): void {
    this.events.text(JSON.stringify(message));
  }

  of(type: RelayToHost['type']): Uint8Array[] {
    return this.shared.filter((utf8) => decoded(utf8).type === type);
  }
}

it('encodes a message for a room once, and all hosts but its sender get the same bytes (NR18)', async () => {
  const [speaker, first, ...others] = ['a', 'b', 'c', 'd'].map((id) => new Listener(id));
  await lan.pass(20);
  speaker!.say({ type: 'to-room', body: 'für alle' });
  expect(first!.of('from-host').map(decoded)).toEqual([{ type: 'from-host', hostId: 'a', body: 'für alle' }]);
  expect(speaker!.of('from-host')).toEqual([]);
  for (const type of ['from-host', 'room'] as const) {
    const told = first!.of(type);
    expect(told).toHaveLength(1);
    for (const other of others) expect(other.of(type)[0]).toBe(told[0]);
  }
});

it('tells a lone change at once, and many in a large room no more often than its bytes allow (NR39)', async () => {
  const hosts = Array.from({ length: 100 }, (_, index) => new Listener(`host-${index}`));
  await lan.pass(2000);
  const [speaker] = hosts;
  const toldBefore = speaker!.of('room').length;
  const createVm = (requestId: number): void => speaker!.say({ type: 'create-vm', requestId, memoryBytes: 1 });
  createVm(1);
  await lan.pass(20);
  const told = speaker!.of('room');
  expect(told).toHaveLength(toldBefore + 1);
  const bytes = told.at(-1)!.length * hosts.length;
  for (let requestId = 2; requestId <= 21; requestId++) {
    createVm(requestId);
    await lan.pass(20);
  }
  await lan.pass(2000);
  const times = speaker!.of('room').length - told.length;
  expect(times).toBeGreaterThan(1);
  expect(times).toBeLessThanOrEqual(1 + 400 / ((bytes / TELL_ROOM_BYTES_PER_SECOND) * 1000));
  expect((decoded(speaker!.of('room').at(-1)!) as { vms: unknown[] }).vms).toHaveLength(21);
});
