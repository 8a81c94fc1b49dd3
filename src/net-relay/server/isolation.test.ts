/** What must not get through, over real sockets, with the rooms' real gateways (B6). */
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Emitter } from '../../shared/emitter.ts';
import type { MigrationId, RoomName } from '../../shared/ids.ts';
import type { OwnerPort, TargetPort } from '../client/port-client.ts';
import { RoomGateways } from '../gateway/room-gateway.ts';
import { GATEWAY_IP, GATEWAY_MAC, type Lan } from '../lan/lan.ts';
import { RELAY_PROTOCOL_VERSION, type RelayToPort } from '../protocol/relay-protocol.ts';
import { encodeBatches } from '../protocol/relay-wire.ts';
import { systemClock } from '../../shared/system-clock.ts';
import { ipFrame, numberOf, recordingStation, RelayHarness, TestNic, until, type TestVm } from '../testing/relay-harness.ts';

let harness: RelayHarness;
afterEach(async () => {
  await harness[Symbol.asyncDispose]();
});

const KEYS = { red: 'the-key-of-red-0001', blue: 'the-key-of-blue-001' } as const;
const GATEWAY = { mac: GATEWAY_MAC, ip: GATEWAY_IP };
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const connected = (port: OwnerPort | TargetPort): Promise<void> => until(() => port.state.kind === 'connected', { on: (listener) => port.onState(listener) });
const addresses = ({ mac, ip }: TestVm): { mac: string; ip: string } => ({ mac, ip });

/** The numbers of this test's own frames, which have IP protocol 0. The gateway sends ARP, ICMP and TCP, whose fields can hold any number. */
const numbersOf = (frames: readonly Uint8Array[]): number[] =>
  frames.filter((frame) => frame[12] === 0x08 && frame[13] === 0x00 && frame[23] === 0).map(numberOf);

function arp(from: { mac: string; ip: string }, operation: number, targetIp: string): Uint8Array {
  const frame = new Uint8Array(60);
  const bytes = (text: string, radix: number): number[] => text.split(radix === 16 ? ':' : '.').map((part) => Number.parseInt(part, radix));
  frame.set([
    ...bytes(BROADCAST, 16),
    ...bytes(from.mac, 16),
    8,
    6,
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    operation,
    ...bytes(from.mac, 16),
    ...bytes(from.ip, 10),
    0,
    0,
    0,
    0,
    0,
    0,
    ...bytes(targetIp, 10),
  ]);
  return frame;
}

describe('rooms, over real sockets and with real gateways', () => {
  it('with the same VM names, ids, MACs and IPs share no frame and no forwarded connection (B6, NR5)', async () => {
    const lans = new Map<RoomName, Lan>();
    const gateways = new RoomGateways({ clock: systemClock, pingMs: 20 });
    harness = await RelayHarness.start({
      // The same "random" bytes for both rooms: everything that is drawn is alike.
      randomBytes: (count) => new Uint8Array(count).fill(0x42),
      openGateway: (lan) => {
        lans.set(lan.room, lan);
        return gateways.open(lan);
      },
    });
    const make = async (room: keyof typeof KEYS) => {
      const host = await harness.host(`host-of-${room}`, { room, key: KEYS[room] });
      const vm = await host.createVm('same');
      const nic = new TestNic();
      await connected(host.own(vm, nic));
      const seen = recordingStation();
      lans.get(room as RoomName)?.plug(seen, { tap: 'copy' });
      return { host, vm, nic, seen };
    };
    const [red, blue] = [await make('red'), await make('blue')];
    expect({ ...red.vm.created }).toEqual({ ...blue.vm.created });

    // To the other VM's own address, to everybody, to the gateway, and an ARP that claims and asks.
    red.nic.send(ipFrame(addresses(red.vm), addresses(blue.vm), 1));
    red.nic.send(ipFrame(addresses(red.vm), { mac: BROADCAST, ip: '10.86.0.255' }, 2));
    red.nic.send(ipFrame(addresses(red.vm), GATEWAY, 3));
    red.nic.send(arp(red.vm, 1, GATEWAY_IP));
    red.nic.send(arp(red.vm, 2, red.vm.ip));
    // A connection to red's forwarded port makes its gateway send a SYN: to red's guest alone.
    const forward = async (room: keyof typeof KEYS): Promise<number> => {
      const port = () => harness.relay.roomStatus(room, KEYS[room])?.vms[0]?.forwards.find(({ guestPort }) => guestPort === 80)?.hostPort;
      while (port() === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      return port()!;
    };
    expect(await forward('red')).not.toBe(await forward('blue'));
    const client = connect(await forward('red'), '127.0.0.1');
    client.on('error', () => undefined);
    const isSyn = (frame: Uint8Array): boolean => frame[23] === 6 && (frame[47] ?? 0) === 2;
    await until(() => red.nic.received.some(isSyn), red.nic.got);
    await until(() => red.nic.received.some((frame) => frame[12] === 8 && frame[13] === 6 && frame[21] === 2), red.nic.got);
    // What blue sends afterwards, to itself by way of its own switch, proves that everything before it was handled.
    blue.nic.send(ipFrame(addresses(blue.vm), GATEWAY, 9));
    while (numbersOf(blue.seen.received).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    client.destroy();

    expect(numbersOf(red.seen.received)).toEqual([1, 2, 3]);
    expect(numbersOf(blue.seen.received)).toEqual([9]);
    expect(numbersOf(blue.nic.received)).toEqual([]);
    expect(blue.nic.received.some(isSyn)).toBe(false);
    expect(blue.nic.received.filter((frame) => frame[13] === 6 && frame[21] === 2)).toEqual([]);
  });

  it('do not let a key, a host or a port of one room into the other (B6, NR4)', async () => {
    harness = await RelayHarness.start();
    const red = await harness.host('host-r', { room: 'red', key: KEYS.red });
    await harness.host('host-b', { room: 'blue', key: KEYS.blue });
    const vm = await red.createVm('same');
    const attach = { type: 'attach-owner', version: RELAY_PROTOCOL_VERSION, vmId: vm.id, epoch: 1 };
    const refusalOf = async (message: object): Promise<string> => {
      const socket = await rawPort(message);
      await until(() => socket.heard.length > 0, socket.got);
      const [first] = socket.heard;
      return first?.type === 'refused' ? first.cause : (first?.type ?? 'nothing');
    };
    // The right key of the wrong room, the VM of another room by its id, and another host's token.
    expect(await refusalOf({ ...attach, room: 'red', key: KEYS.blue, hostId: 'host-r', hostToken: 'token-of-host-r-0123456789' })).toBe('key');
    expect(await refusalOf({ ...attach, room: 'blue', key: KEYS.blue, hostId: 'host-b', hostToken: 'token-of-host-b-0123456789' })).toBe('unknown-vm');
    expect(await refusalOf({ ...attach, room: 'red', key: KEYS.red, hostId: 'host-r', hostToken: 'token-of-somebody-else' })).toBe('host-id-taken');
    expect(await refusalOf({ ...attach, room: 'red', key: KEYS.red, hostId: 'stranger', hostToken: 'token-of-somebody-else' })).toBe('not-owner');
    expect(harness.relay.stats().refusals).toMatchObject({ key: 1, 'unknown-vm': 1, 'host-id-taken': 1 });
  });
});

describe('a frame of a guest, over real sockets', () => {
  it('with a spoofed MAC, a spoofed IP or a stale epoch is dropped, counted by name, and told by the API (B6, NR9, NR19)', async () => {
    const seen = recordingStation();
    harness = await RelayHarness.start({
      openGateway: (lan) => lan.plug(seen, { mac: GATEWAY_MAC }),
    });
    const [a, b] = [await harness.host('host-a'), await harness.host('host-b')];
    const vm = await a.createVm();
    // A host that its guest has taken over: it speaks the protocol, but follows no rule.
    const source = await rawPort({
      type: 'attach-owner',
      version: RELAY_PROTOCOL_VERSION,
      vmId: vm.id,
      epoch: 1,
      room: 'default',
      key: harness.relay.defaultRoomKey,
      hostId: a.id,
      hostToken: 'token-of-host-a-0123456789',
    });
    await source.hears('attached');
    source.frames(
      ipFrame({ mac: '02:5a:00:00:00:99', ip: vm.ip }, GATEWAY, 1),
      ipFrame({ mac: GATEWAY_MAC, ip: GATEWAY_IP }, GATEWAY, 2),
      ipFrame({ mac: vm.mac, ip: '10.86.0.200' }, GATEWAY, 3),
      ipFrame({ mac: vm.mac, ip: GATEWAY_IP }, GATEWAY, 4),
      arp({ mac: vm.mac, ip: GATEWAY_IP }, 2, vm.ip),
      ipFrame(addresses(vm), GATEWAY, 5),
    );
    while (seen.received.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(seen.received.map(numberOf)).toEqual([5]);

    // The VM moves; the old host, which was told, goes on sending with its old epoch.
    const nic = new TestNic();
    const target = b.target(vm, nic, 'm1', a);
    await connected(target);
    source.says({ type: 'hold', migrationId: 'm1', targetHostId: b.id });
    await source.hears('held');
    source.says({ type: 'drained', migrationId: 'm1' as MigrationId });
    await source.hears('drained-ok');
    expect(await target.targetLease().commit()).toBe(2);
    source.frames(ipFrame(addresses(vm), GATEWAY, 6), ipFrame(addresses(vm), GATEWAY, 7));
    source.says({ type: 'who-owns', migrationId: 'm1' as MigrationId });
    await source.hears('outcome');
    await target.targetLease().alive();
    nic.send(ipFrame(addresses(vm), GATEWAY, 8));
    while (seen.received.length === 1) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(seen.received.map(numberOf)).toEqual([5, 8]);

    const dropped = { 'foreign-mac': 2, 'spoofed-ip': 2, 'spoofed-arp': 1, 'stale-epoch': 2 };
    expect(harness.relay.stats().dropped).toEqual(dropped);
    expect(harness.relay.roomStatus('default', harness.relay.defaultRoomKey)?.vms[0]?.dropped).toEqual(dropped);
    // And with its old epoch it does not get in again.
    const again = await rawPort({
      type: 'attach-owner',
      version: RELAY_PROTOCOL_VERSION,
      vmId: vm.id,
      epoch: 1,
      room: 'default',
      key: harness.relay.defaultRoomKey,
      hostId: b.id,
      hostToken: 'token-of-host-b-0123456789',
    });
    await again.hears('refused');
    expect(again.heard.find((message) => message.type === 'refused')).toMatchObject({ cause: 'stale-epoch' });
  });
});

interface RawPort {
  readonly heard: RelayToPort[];
  readonly got: Emitter<void>;
  hears(type: RelayToPort['type']): Promise<void>;
  says(message: object): void;
  frames(...frames: Uint8Array[]): void;
}

/** A port socket whose client does not have to follow the rules. */
async function rawPort(first: object): Promise<RawPort> {
  const socket = new WebSocket(`${harness.url.replace('http', 'ws')}/port`);
  harness.keep({ dispose: () => socket.terminate() });
  const heard: RelayToPort[] = [];
  const got = new Emitter<void>();
  socket.on('message', (data: Buffer, binary: boolean) => {
    if (binary) return;
    heard.push(JSON.parse(data.toString()) as RelayToPort);
    got.emit();
  });
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  socket.send(JSON.stringify(first));
  return {
    heard,
    got,
    hears: (type) => until(() => heard.some((message) => message.type === type), got),
    says: (message) => socket.send(JSON.stringify(message)),
    frames: (...frames) => {
      for (const batch of encodeBatches('frames', frames)) socket.send(batch);
    },
  };
}
