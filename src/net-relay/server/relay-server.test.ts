import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import type { HostId, LeaseEpoch, VmId } from '../../shared/ids.ts';
import type { HostClient, HostMessageEvent } from '../client/host-client.ts';
import { RELAY_PROTOCOL_VERSION, type CreatedVm } from '../protocol/relay-protocol.ts';
import { createRelay } from './relay-server.ts';
import { TELL_PINGS_AFTER_MS } from './room-telling.ts';
import { memoryKeyValueStore } from '../store/key-value-store.ts';
import { TestNic, ipFrame } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

let lan: VirtualLan;
beforeEach(() => {
  lan = new VirtualLan();
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

const KEY = 'a-key-of-our-own-1';
const names = (client: HostClient): string[] => (client.room?.hosts ?? []).map((host) => host.name).sort();

describe('a room of the relay', () => {
  it('shows its hosts and VMs to all of them, and to nobody else (NR5)', async () => {
    const [a, b, c] = [lan.host('a'), lan.host('b'), lan.host('c', 'elsewhere', KEY)];
    const vm = await lan.createVm(a, 'desk');
    a.setVmState(vm.vmId as VmId, 1 as LeaseEpoch, 'running');
    await lan.pass(20);
    expect(names(a)).toEqual(['a', 'b']);
    expect(names(c)).toEqual(['c']);
    expect(b.room?.vms).toMatchObject([{ id: vm.vmId, name: 'desk', state: 'running', hostId: 'a', ownerPresent: true, epoch: 1 }]);
    expect(c.room?.vms).toEqual([]);
  });

  it('gives every VM a MAC and an address of its own, counted from 10.86.0.2', async () => {
    const a = lan.host('a');
    const made = [await lan.createVm(a), await lan.createVm(a), await lan.createVm(a)];
    expect(made.map((vm) => vm.ip)).toEqual(['10.86.0.2', '10.86.0.3', '10.86.0.4']);
    expect(made.map((vm) => vm.name)).toEqual(['pc1', 'pc2', 'pc3']);
    expect(new Set(made.map((vm) => vm.mac)).size).toBe(3);
    for (const vm of made)
      expect(vm).toMatchObject({ mac: expect.stringMatching(/^02:5a(:[0-9a-f]{2}){4}$/) as string, netmask: '255.255.255.0', gateway: '10.86.0.1', epoch: 1 });
    await lan.settled(a.destroyVm(made[0]!.vmId as VmId, 1 as LeaseEpoch));
    expect((await lan.createVm(a)).ip).toBe('10.86.0.5');
  });

  it('passes messages between hosts, and says what could not be delivered (NR6)', async () => {
    const [a, b] = [lan.host('a'), lan.host('b')];
    await lan.pass(20);
    const heard: HostMessageEvent[] = [];
    const lost: HostMessageEvent[] = [];
    b.onMessage((message) => heard.push(message));
    a.onUndeliverable((message) => lost.push(message));
    a.sendToHost('b' as HostId, { hello: 1 });
    a.sendToRoom('all');
    a.sendToHost('nobody' as HostId, 2);
    await lan.pass(0);
    expect(heard).toEqual([
      { hostId: 'a', body: { hello: 1 } },
      { hostId: 'a', body: 'all' },
    ]);
    expect(lost).toEqual([{ hostId: 'nobody', body: 2 }]);
  });

  it('refuses a wrong key, for socket and API alike, and remembers keys over a restart (NR4)', async () => {
    const first = lan.host('a', 'mine', KEY);
    const second = lan.host('b', 'mine', 'another-key-000001');
    const invited = lan.host('c', 'default', 'another-key-000001');
    await lan.pass(20);
    expect(first.state.kind).toBe('connected');
    expect(second.state).toMatchObject({ kind: 'refused', cause: 'key' });
    expect(invited.state).toMatchObject({ kind: 'refused', cause: 'key' });
    expect(lan.relay.roomStatus('mine', KEY)?.hosts).toEqual([{ id: 'a', name: 'a' }]);
    expect(lan.relay.roomStatus('mine', 'another-key-000001')).toBeNull();
    expect(lan.relay.roomStatus('unheard-of', KEY)).toBeNull();
    const key = lan.relay.defaultRoomKey;
    await lan.createVm(first);
    lan.crashRelay();
    lan.startRelay();
    expect(lan.relay.defaultRoomKey).toBe(key);
    expect(lan.relay.checkKey('mine', KEY)).toBe(true);
    expect(lan.relay.checkKey('mine', 'another-key-000001')).toBe(false);
    expect([...lan.records.values()].join()).not.toContain(KEY);
  });

  it('lets the same host come again in place of its older socket, and nobody else under its id (NR7)', async () => {
    const older = lan.host('a');
    await lan.pass(20);
    const newer = lan.host('a');
    const thief = lan.host('a', 'default', lan.relay.defaultRoomKey, 'another-token-000001');
    await lan.pass(5000);
    expect(older.state).toMatchObject({ kind: 'refused', cause: 'replaced' });
    expect(newer.state.kind).toBe('connected');
    expect(thief.state).toMatchObject({ kind: 'refused', cause: 'host-id-taken' });
    expect(names(newer)).toEqual(['a']);
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', '__defineGetter__'])(
    'takes no host under an id that every object has as a property: %s (NR7)',
    async (id) => {
      const before = Object.getOwnPropertyNames(Object.prototype);
      const owner = lan.host('a');
      const odd = lan.host(id);
      await lan.pass(20);
      expect(odd.state).toMatchObject({ kind: 'refused', cause: 'malformed' });
      // If the token of such an id were stored beside the lease, a restart would lose it, and the next host with that id would own its VMs.
      owner.sendToHost(id as HostId, 'hello');
      await lan.pass(20);
      lan.crashRelay();
      lan.startRelay();
      await lan.pass(5000);
      const thief = lan.host(id, 'default', lan.relay.defaultRoomKey, 'another-token-000001');
      await lan.pass(20);
      expect(thief.state).toMatchObject({ kind: 'refused', cause: 'malformed' });
      expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
      expect(lan.relay.roomStatus('default', lan.relay.defaultRoomKey)?.hosts.map((host) => host.id)).not.toContain(id);
    },
  );

  it("keeps a host's newer socket when the hello of one that it has given up arrives late (NR7)", async () => {
    const client = lan.host('a');
    const deliverOldHello = await lan.giveUpHello('a');
    expect(client.state.kind).toBe('connected');
    await deliverOldHello();
    expect(client.state.kind).toBe('connected');
    expect(names(client)).toEqual(['a']);
  });

  it('lets a host that says goodbye go at once, and waits ten seconds for one that was cut off (NR20)', async () => {
    const [a, b, c] = [lan.host('a'), lan.host('b'), lan.host('c')];
    const vm = await lan.createVm(c);
    await lan.pass(20);
    b.dispose();
    await lan.pass(20);
    expect(names(a)).toEqual(['a', 'c']);
    // A cut cable, and no way back.
    const relay = lan.network.relay;
    lan.network.relay = null;
    lan.network.cut('c');
    await lan.pass(8000);
    expect(names(a)).toEqual(['a', 'c']);
    await lan.pass(4000);
    expect(names(a)).toEqual(['a']);
    expect(a.room?.vms).toMatchObject([{ id: vm.vmId, hostId: 'c', ownerPresent: false }]);
    lan.network.relay = relay;
    await lan.pass(5000);
    expect(names(a)).toEqual(['a', 'c']);
    expect(a.room?.vms).toMatchObject([{ ownerPresent: true }]);
  });

  it('keeps the VM of a host that sleeps for hours, and forgets it after a day of its own uptime (NR20)', async () => {
    const a = lan.host('a');
    const vm = await lan.createVm(a);
    const port = lan.own('a', vm, new TestNic());
    await lan.pass(20);
    const relay = lan.network.relay;
    lan.network.relay = null;
    lan.network.cut('a');
    await lan.pass(3600_000);
    lan.network.relay = relay;
    await lan.pass(5000);
    expect(port.state.kind).toBe('connected');
    lan.network.relay = null;
    lan.network.cut('a');
    a.dispose();
    port.dispose();
    await lan.pass(24 * 3600_000 + 60_000);
    expect(lan.relay.stats().vms).toBe(0);
    // The room is empty now, and forgotten as well.
    await lan.pass(61_000);
    expect(lan.relay.stats()).toMatchObject({ rooms: 0, sockets: 0 });
  }, 120_000);

  it('performs a request once though its answer was lost, also over a restart of the relay (NR6)', async () => {
    const a = lan.host('a');
    await lan.pass(20);
    const promise = a.createVm({ memoryBytes: 1 });
    // The request arrives, the answer does not.
    for (const socket of lan.network.sockets) while (socket.toServer.length > 0) socket.toServer.shift()?.();
    lan.crashRelay();
    lan.startRelay();
    await lan.pass(1000);
    const vm = await promise;
    expect(lan.relay.stats().vms).toBe(1);
    expect(a.room?.vms).toMatchObject([{ id: vm.vmId }]);
  });

  it('rejects a request with a sentence if the server stays away (I5)', async () => {
    const a = lan.host('a');
    await lan.pass(20);
    lan.crashRelay();
    const outcome = a.createVm({ memoryBytes: 1 }).catch((error: unknown) => String(error));
    await lan.pass(11_000);
    expect(await outcome).toContain('The server cannot be reached. Try again in a moment.');
    lan.startRelay();
  });

  it("refuses to destroy a VM that is unknown or another host's", async () => {
    const [a, b] = [lan.host('a'), lan.host('b')];
    const vm = await lan.createVm(a);
    await expect(lan.settled(b.destroyVm(vm.vmId as VmId, 1 as LeaseEpoch))).rejects.toThrow('belongs to another host');
    await expect(lan.settled(a.destroyVm('vm-none' as VmId, 1 as LeaseEpoch))).rejects.toThrow('no such VM');
  });

  it('tells pings, traffic and forwards that its gateway reports to the room (NR21)', async () => {
    const a = lan.host('a');
    const vm = await lan.createVm(a);
    const gateway = lan.lans[0]!;
    expect(gateway.vms()).toMatchObject([{ id: vm.vmId, mac: vm.mac, ip: vm.ip, attached: false }]);
    const pings: unknown[] = [];
    const traffic: unknown[] = [];
    a.onPing((ping) => pings.push(ping));
    a.onTraffic((figures) => traffic.push(...figures));
    gateway.reportPing(vm.vmId as VmId, 1, 0.5);
    gateway.reportPing(vm.vmId as VmId, 2, null);
    gateway.setForwards(vm.vmId as VmId, [{ guestPort: 80, hostPort: 8080 }]);
    const nic = new TestNic();
    lan.own('a', vm, nic);
    await lan.pass(20);
    nic.send(ipFrame(vm, { mac: 'ff:ff:ff:ff:ff:ff', ip: '10.86.0.255' }, 1));
    await lan.pass(1100);
    expect(pings).toEqual([
      { vmId: vm.vmId, seq: 1, rttMs: 0.5 },
      { vmId: vm.vmId, seq: 2, rttMs: null },
    ]);
    expect(traffic).toEqual([{ vmId: vm.vmId, framesFromGuest: 1, bytesFromGuest: 64, framesToGuest: 0, bytesToGuest: 0, dropped: 0 }]);
    expect(a.room?.vms[0]?.forwards).toEqual([{ guestPort: 80, hostPort: 8080 }]);
    expect(lan.relay.roomStatus('default', lan.relay.defaultRoomKey)?.vms[0]).toMatchObject({ forwards: [{ guestPort: 80, hostPort: 8080 }] });
  });

  it('tells each host of a room the pings of all PCs in one message, however many PCs there are (NR21)', async () => {
    const host = lan.host('a');
    const vms: CreatedVm[] = [];
    for (let index = 0; index < 30; index++) vms.push(await lan.createVm(host));
    const told: string[] = [];
    const socket = {
      backlogBytes: 0,
      sendText: (text: string) => void told.push(text),
      sendUtf8: (utf8: Uint8Array) => void told.push(new TextDecoder().decode(utf8)),
      sendBinary: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      close: () => undefined,
      terminate: () => undefined,
    };
    const hello = {
      type: 'hello',
      version: RELAY_PROTOCOL_VERSION,
      room: 'default',
      key: lan.relay.defaultRoomKey,
      hostId: 'b',
      hostToken: 'a-token-0123456789',
      name: 'b',
    };
    lan.relay.connect('host', socket).text(JSON.stringify(hello));
    const heard: unknown[] = [];
    host.onPing((ping) => heard.push(ping));
    const samples = [0, 1, 2].flatMap((seq) => vms.map((vm) => ({ vmId: vm.vmId, seq, rttMs: 0.5 })));
    for (const { vmId, seq, rttMs } of samples) lan.lans[0]!.reportPing(vmId as VmId, seq, rttMs);
    await lan.pass(TELL_PINGS_AFTER_MS + 20);
    expect(told.filter((text) => text.includes('"pings"')).map((text) => JSON.parse(text) as unknown)).toEqual([{ type: 'pings', samples }]);
    expect(heard).toEqual(samples);
  });

  it('leaves nothing behind: no socket, no timer, no listener (A8)', async () => {
    const a = lan.host('a');
    const vm = await lan.createVm(a);
    const nic = new TestNic();
    const port = lan.own('a', vm, nic);
    await lan.pass(20);
    await lan.settled(a.destroyVm(vm.vmId as VmId, 1 as LeaseEpoch));
    expect(port.state).toMatchObject({ kind: 'refused', cause: 'unknown-vm' });
    port.dispose();
    a.dispose();
    await lan.pass(2000);
    expect(nic.listeners).toBe(0);
    expect(lan.relay.stats()).toMatchObject({ sockets: 0, vms: 0 });
    lan.relay.dispose();
    expect(lan.clock.pending).toBe(0);
  });
});

describe('bad input at the relay', () => {
  interface Raw {
    readonly heard: { type: string; cause?: string }[];
    readonly closed: string[];
    text(text: unknown): void;
    binary(...bytes: number[]): void;
  }
  const raw = (kind: 'host' | 'port', originAllowed = true): Raw => {
    const heard: { type: string; cause?: string }[] = [];
    const closed: string[] = [];
    const events = lan.relay.connect(
      kind,
      {
        backlogBytes: 0,
        sendText: (text) => void heard.push(JSON.parse(text) as { type: string }),
        sendUtf8: (utf8) => void heard.push(JSON.parse(new TextDecoder().decode(utf8)) as { type: string }),
        sendBinary: () => undefined,
        pause: () => undefined,
        resume: () => undefined,
        close: (_code, reason) => void closed.push(reason),
        terminate: () => void closed.push('terminated'),
      },
      { originAllowed },
    );
    return {
      heard,
      closed,
      text: (message) => events.text(typeof message === 'string' ? message : JSON.stringify(message)),
      binary: (...bytes) => events.binary(Uint8Array.from(bytes)),
    };
  };
  const credentials = (over: object = {}) => ({
    version: RELAY_PROTOCOL_VERSION,
    room: 'default',
    key: lan.relay.defaultRoomKey,
    hostId: 'x',
    hostToken: 'a-token-0123456789',
    ...over,
  });
  const hello = (over: object = {}): object => ({ type: 'hello', name: 'x', ...credentials(over) });

  it('is refused by name, and the socket closed (NR3)', async () => {
    const vm = await lan.createVm(lan.host('a'));
    const attach = (over: object = {}): object => ({ type: 'attach-owner', vmId: vm.vmId, epoch: 1, ...credentials(over) });
    const cases: readonly (readonly [string, 'host' | 'port', unknown])[] = [
      ['malformed', 'host', 'nonsense'],
      ['malformed', 'host', { type: 'heartbeat', at: 1 }],
      ['malformed', 'host', { type: 'to-host', hostId: 'a', body: 1 }],
      ['version', 'host', hello({ version: 99 })],
      ['key', 'host', hello({ key: 'wrong-key-0123456789' })],
      ['malformed', 'host', hello({ key: 'short' })],
      ['malformed', 'host', hello({ room: '../etc' })],
      ['host-id-taken', 'host', hello({ hostId: 'a' })],
      ['malformed', 'port', hello()],
      ['malformed', 'port', { type: 'heartbeat', at: 1 }],
      ['unknown-vm', 'port', attach({ vmId: 'vm-none' })],
      ['not-owner', 'port', attach()],
      ['host-id-taken', 'port', attach({ hostId: 'a' })],
      ['key', 'port', attach({ room: 'elsewhere', key: KEY })],
      ['stale-epoch', 'port', { ...attach(), type: 'attach-target', migrationId: 'm', epoch: 2 }],
    ];
    for (const [cause, kind, message] of cases) {
      const socket = raw(kind);
      socket.text(message);
      expect(socket.heard.at(-1), JSON.stringify(message)).toMatchObject({ type: 'refused', cause });
      expect(socket.closed).toHaveLength(1);
    }
    const silent = raw('host');
    const foreign = raw('host', false);
    expect(foreign.heard).toMatchObject([{ type: 'refused', cause: 'origin' }]);
    await lan.pass(7000);
    expect(silent.heard).toMatchObject([{ type: 'refused', cause: 'too-slow' }]);
    const binary = raw('host');
    binary.text(hello());
    binary.binary(0, 0, 1, 1);
    expect(binary.heard.at(-1)).toMatchObject({ type: 'refused', cause: 'malformed' });
    expect(lan.relay.stats().refusals).toMatchObject({
      'not-json': 1,
      'no-hello': 4,
      version: 1,
      key: 2,
      'host-id-taken': 2,
      'unknown-vm': 1,
      origin: 1,
      'binary-on-host-socket': 1,
    });
  });

  it('cannot keep a host that is frozen: five silent heartbeats end its socket (NR2)', async () => {
    const frozen = raw('host');
    frozen.text(hello());
    await lan.pass(7000);
    expect(frozen.closed).toEqual(['silent', 'terminated']);
  });

  it('does not pass on a body nested so deep that it cannot be written again', async () => {
    const b = lan.host('b');
    await lan.pass(20);
    const heard: unknown[] = [];
    b.onMessage((message) => heard.push(message));
    const socket = raw('host');
    socket.text(hello());
    socket.text(`{"type":"to-room","body":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    await lan.pass(20);
    expect(heard).toEqual([]);
    expect(socket.heard.at(-1)).toMatchObject({ type: 'refused', cause: 'malformed' });
  });

  it('lets go of a client that does not read, rather than keep its messages (NR18)', async () => {
    const heard: string[] = [];
    let backlogBytes = 0;
    const events = lan.relay.connect('host', {
      get backlogBytes() {
        return backlogBytes;
      },
      sendText: (text) => void heard.push(text),
      sendUtf8: () => undefined,
      sendBinary: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      close: (_code, reason) => void heard.push(reason),
      terminate: () => void heard.push('terminated'),
    });
    events.text(JSON.stringify(hello()));
    backlogBytes = 100 * 1024 * 1024;
    await lan.pass(1100);
    expect(heard.slice(-2)).toEqual(['too-slow', 'terminated']);
    expect(lan.relay.stats().refusals).toMatchObject({ 'too-slow': 1 });
  });

  it('never throws, whatever 3,000 seeded sessions of valid, altered and misplaced messages send (A10, C7)', async () => {
    const random = new SeededRandom(77);
    const vm = await lan.createVm(lan.host('a'));
    const templates = (): object[] => [
      hello(),
      { type: 'create-vm', requestId: 1, memoryBytes: 1 },
      { type: 'vm-state', vmId: vm.vmId, epoch: 1, state: 'running' },
      { type: 'destroy-vm', requestId: 2, vmId: vm.vmId, epoch: 1 },
      { type: 'to-host', hostId: 'a', body: { x: 1 } },
      { type: 'to-room', body: null },
      { type: 'attach-owner', vmId: vm.vmId, epoch: 1, ...credentials() },
      { type: 'attach-target', vmId: vm.vmId, epoch: 1, migrationId: 'm1', ...credentials() },
      { type: 'hold', migrationId: 'm1', targetHostId: 'x' },
      { type: 'drained', migrationId: 'm1' },
      { type: 'release', migrationId: 'm1' },
      { type: 'abort', migrationId: 'm1' },
      { type: 'commit', migrationId: 'm1', fromHostId: 'a', fromEpoch: 1 },
      { type: 'alive', migrationId: 'm1' },
      { type: 'who-owns', migrationId: 'm1' },
      { type: 'heartbeat', at: 0 },
      { type: 'forget-vm', requestId: 3, vmId: vm.vmId, epoch: 1 },
    ];
    for (let session = 0; session < 3000; session++) {
      const kind = random.pick(['host', 'port'] as const);
      const socket = raw(kind);
      const all = templates();
      if (random.chance(0.8)) socket.text(kind === 'host' ? all[0] : all[7]);
      for (let count = random.below(5); count >= 0; count--) {
        if (random.chance(0.3)) {
          socket.binary(...random.bytes(random.below(80)));
          continue;
        }
        const message: Record<string, unknown> = { ...random.pick(all) };
        if (random.chance(0.3)) message[random.pick(Object.keys(message))] = random.pick([null, -1, 1e309, 'x'.repeat(70), {}, [], true, '']);
        const text = JSON.stringify(message);
        socket.text(random.chance(0.1) ? text.slice(0, random.below(text.length)) : text);
      }
      if (session % 500 === 0) await lan.pass(1000);
    }
    await lan.pass(10_000);
    expect(lan.relay.roomStatus('default', lan.relay.defaultRoomKey)?.vms).toContainEqual(expect.objectContaining({ id: vm.vmId, ownerHostId: 'a', epoch: 1 }));
    expect(lan.relay.stats().sockets).toBe(1);
  });
});

describe("the relay's store", () => {
  it('leaves records alone that it does not understand, and says which', () => {
    const records = new Map([
      ['vm/default/vm-1', '{"nonsense":1}'],
      ['room/../x', '{}'],
      ['other', '1'],
    ]);
    const relay = createRelay({ store: memoryKeyValueStore(records), clock: lan.clock });
    expect(relay.stats().unreadable).toEqual(['vm/default/vm-1', 'room/../x', 'other']);
    expect(records.has('other')).toBe(true);
    relay.dispose();
  });
});
