import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import { Emitter } from '../../shared/emitter.ts';
import { disposable } from '../../shared/disposable.ts';
import type { HostId, MacAddress, RoomName, VmId } from '../../shared/ids.ts';
import { GATEWAY_MAC, lanAddress, type Lan, type LanVm } from '../lan/lan.ts';
import type { PortForward } from '../protocol/relay-protocol.ts';
import { parsePcap } from './capture.ts';
import type { Station } from '../lan/station.ts';
import { StoreRefusal, StoreUnsure } from '../store/key-value-store.ts';
import { parsePromisedForward, RoomGateways, type RoomGatewaysOptions } from './room-gateway.ts';
import { ForwardError } from './port-forwards.ts';
import { FrameGuest } from './testing/frame-guest.ts';
import { GATEWAY_ADDRESS, GATEWAY_MAC_NUMBER } from './testing/gateway-world.ts';
import { MemoryHostNetwork } from './testing/memory-host-network.ts';

function room(options: Partial<RoomGatewaysOptions> = {}) {
  const clock = new VirtualClock();
  const network = new MemoryHostNetwork();
  const listeners = new Set<() => void>();
  const pings: [string, number, number | null][] = [];
  let vms: LanVm[] = [];
  let station: Station | null = null;
  const disk = { full: false, unsure: false };
  const copies = new Set<Station>();
  const guest: FrameGuest = new FrameGuest({
    mac: 0x025a00000002,
    ip: GATEWAY_ADDRESS + 1,
    gatewayMac: GATEWAY_MAC_NUMBER,
    clock,
    send: (frame) => station?.receive(frame),
  });
  const set = (next: LanVm[]): void => {
    vms = next;
    for (const listener of [...listeners]) listener();
  };
  const lan: Lan = {
    room: 'default' as RoomName,
    plug(plugged, place) {
      if ('tap' in place) {
        copies.add(plugged);
        return { send: () => undefined, dispose: () => void copies.delete(plugged) };
      }
      expect(place).toEqual({ mac: GATEWAY_MAC });
      station = plugged;
      return { send: (frame) => guest.receive(frame), dispose: () => void (station = null) };
    },
    vms: () => vms,
    onVms(listener) {
      listeners.add(listener);
      return disposable(() => listeners.delete(listener));
    },
    onLeft: (listener) => left.on(listener),
    reportPing: (vmId, seq, rttMs) => void pings.push([vmId, seq, rttMs]),
    setForwards(vmId, forwards) {
      if (disk.full) throw new StoreRefusal('full');
      if (disk.unsure) throw new StoreUnsure('The disk failed in the middle of a write (EIO).');
      set(vms.map((vm) => (vm.id === vmId ? { ...vm, forwards } : vm)));
    },
  };
  const left = new Emitter<undefined>();
  const gateways = new RoomGateways({ clock, network, pingMs: 100, ...options });
  const opened = gateways.open(lan);
  const pass = async (ms: number): Promise<void> => {
    const end = clock.now() + ms;
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    while ((clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) {
      clock.fireNext();
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    }
    clock.pass(end - clock.now());
  };
  return {
    left,
    disk,
    lan,
    clock,
    network,
    listeners,
    pings,
    guest,
    set,
    gateways,
    opened,
    pass,
    forwards: () => vms[0]?.forwards,
    plugged: () => station !== null,
    copies,
  };
}

function vm(forwards: PortForward[] = [], epoch = 1): LanVm {
  return {
    id: 'vm1' as VmId,
    name: 'My VM',
    mac: '02:5a:00:00:00:02' as MacAddress,
    ip: lanAddress(2),
    ownerHostId: 'h' as HostId,
    epoch,
    attached: true,
    forwards,
  };
}

describe('the gateway of a room', () => {
  it('opens ports for SSH and the web server of every VM that comes, and tells the room (GW47)', async () => {
    const world = room();
    world.set([vm()]);
    await world.pass(0);
    expect(world.forwards()).toEqual([
      { guestPort: 22, hostPort: 40_000 },
      { guestPort: 80, hostPort: 40_001 },
    ]);
  });

  it('opens and closes no port whose change cannot be stored, and says so (NR25)', async () => {
    const said: string[] = [];
    const world = room({ log: (line) => void said.push(line) });
    world.set([vm()]);
    await world.pass(0);
    const before = world.forwards();
    const gateway = world.gateways.of('default' as RoomName)!;
    const open = (): unknown[] => gateway.forwards().map(({ guestPort, hostPort }) => ({ guestPort, hostPort }));
    world.disk.full = true;
    const says = "The server's disk is full, so nothing was changed. Free some space on it, then try again";
    await expect(gateway.addForward({ vm: 'vm1', guestPort: 8000, hostPort: 9000 })).rejects.toEqual(new ForwardError(says));
    await expect(gateway.removeForward(40_000)).rejects.toEqual(new ForwardError(says));
    expect([open(), world.forwards()]).toEqual([before, before]);
    // A VM that comes now gets none.
    world.set([vm(), { ...vm(), id: 'vm2' as VmId, name: 'Other' }]);
    await world.pass(0);
    expect([open(), said]).toEqual([before, [`No further ports of Other are forwarded: ${says}`]]);
    world.disk.full = false;
    await gateway.addForward({ vm: 'vm1', guestPort: 8000, hostPort: 9000 });
    await gateway.removeForward(40_000);
    expect(world.forwards()).toEqual([
      { guestPort: 80, hostPort: 40_001 },
      { guestPort: 8000, hostPort: 9000 },
    ]);
  });

  it('leaves nothing rejected behind when the store cannot say whether the ports are stored (NR25)', async () => {
    const rejected: unknown[] = [];
    const listener = (error: unknown): void => void rejected.push(error);
    process.on('unhandledRejection', listener);
    const world = room({ log: () => undefined });
    world.disk.unsure = true;
    world.set([vm()]);
    await world.pass(0);
    // Node reports a rejection once the microtasks are done.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', listener);
    expect(rejected).toEqual([]);
  });

  it('opens the ports a VM had before the relay was restarted, or others if they are taken (GW47)', async () => {
    const world = room();
    world.network.listeners.set(5001, () => undefined);
    world.set([
      vm([
        { guestPort: 22, hostPort: 5000 },
        { guestPort: 80, hostPort: 5001 },
      ]),
    ]);
    await world.pass(0);
    expect(world.forwards()).toEqual([
      { guestPort: 22, hostPort: 5000 },
      { guestPort: 80, hostPort: 40_000 },
    ]);
  });

  it('opens what was asked for at the start, by the name of the VM, and more at run time (GW47)', async () => {
    const log: string[] = [];
    const world = room({
      forwards: [parsePromisedForward('8080:My VM:8000'), parsePromisedForward('8081:other:80'), parsePromisedForward('40000:vm1:9')],
      log: (line) => void log.push(line),
    });
    world.set([vm()]);
    await world.pass(0);
    expect(world.forwards()).toContainEqual({ guestPort: 8000, hostPort: 8080 });
    expect(log).toEqual(['Port 40000 of the host is taken: choose another, or 0 for any free one']);
    const gateway = world.gateways.of('default' as RoomName)!;
    await gateway.addForward({ vm: 'My VM', hostPort: 7000, guestPort: 7 });
    expect(world.forwards()).toContainEqual({ guestPort: 7, hostPort: 7000 });
    await expect(gateway.addForward({ vm: 'nobody', hostPort: 0, guestPort: 7 })).rejects.toThrow('There is no such VM in this room');
    expect(gateway.forwards()).toContainEqual({ vmId: 'vm1', guestPort: 7, hostPort: 7000 });
    expect(await gateway.removeForward(7000)).toBe(true);
    expect(await gateway.removeForward(7000)).toBe(false);
    expect(world.forwards()).not.toContainEqual({ guestPort: 7, hostPort: 7000 });
    for (const text of ['8080', '8080:vm', '70000:vm:1', '1:vm:0', 'x:vm:1']) expect(() => parsePromisedForward(text)).toThrow(/HOSTPORT:VM:GUESTPORT/);
  });

  it("opens what was asked for at the start to a VM of the room it names alone, whatever a stranger's is called (GW58)", async () => {
    const world = room({ forwards: [parsePromisedForward('81:My VM:80'), parsePromisedForward('82:seminar/My VM:80')] });
    world.gateways.open({
      ...world.lan,
      room: 'seminar' as RoomName,
      vms: () => [vm()],
      setForwards: () => undefined,
      plug: () => ({ send: () => undefined, dispose: () => undefined }),
    });
    await world.pass(0);
    const hostPorts = (name: string): number[] =>
      world.gateways
        .of(name as RoomName)!
        .forwards()
        .map(({ hostPort }) => hostPort);
    expect(hostPorts('seminar')).toContain(82);
    expect(hostPorts('seminar')).not.toContain(81);
    world.set([vm()]);
    await world.pass(0);
    expect(hostPorts('default')).toContain(81);
    expect(hostPorts('default')).not.toContain(82);
  });

  it('lets out the guests of the default room, and of others only where they are named (GW50)', async () => {
    const opens = async (options: Partial<RoomGatewaysOptions>, name: string): Promise<boolean> => {
      const world = room(options);
      world.gateways.open({
        ...world.lan,
        room: name as RoomName,
        vms: () => [vm()],
        setForwards: () => undefined,
        plug: () => ({ send: () => undefined, dispose: () => undefined }),
      });
      const guest = new FrameGuest({
        mac: 0x025a00000002,
        ip: GATEWAY_ADDRESS + 1,
        gatewayMac: GATEWAY_MAC_NUMBER,
        clock: world.clock,
        send: (frame) => world.gateways.of(name as RoomName)!.gateway.receive(frame),
      });
      guest.sendUdp(0x5db8d822, 5000, 123, new Uint8Array(1));
      await world.pass(0);
      return world.network.udp.length === 1;
    };
    expect(await opens({ outbound: [] }, 'default')).toBe(true);
    expect(await opens({ outbound: [] }, 'stranger')).toBe(false);
    const seminar = 'seminar' as RoomName;
    expect(await opens({ outbound: [], outboundRooms: [seminar] }, seminar)).toBe(true);
    expect(await opens({ outbound: [], outboundRooms: 'all' }, 'stranger')).toBe(true);
  });

  it('listens for a VM once somebody runs it, and closes its ports when nobody has for half a minute; it has the same ones when it is back (GW47)', async () => {
    const world = room();
    const listening = (): number[] => [...world.network.listeners.keys()];
    world.set([{ ...vm(), attached: false }]);
    await world.pass(10_000);
    expect([listening(), world.forwards()]).toEqual([[], []]);
    world.set([vm()]);
    await world.pass(0);
    const promised = world.forwards()!;
    expect(listening()).toEqual([40_000, 40_001]);
    const away = (): void => world.set([{ ...vm([...promised]), attached: false }]);
    away();
    await world.pass(25_000);
    expect(listening()).toEqual([40_000, 40_001]);
    world.set([vm([...promised])]);
    await world.pass(25_000);
    away();
    await world.pass(31_000);
    expect([listening(), world.forwards()]).toEqual([[], promised]);
    world.set([vm([...promised], 2)]);
    await world.pass(0);
    expect([listening(), world.forwards()]).toEqual([[40_000, 40_001], promised]);
    away();
    world.opened.dispose();
    await world.pass(0);
    expect(world.clock.pending).toBe(0);
  });

  it('pings each VM from its first answer on, until it goes (GW48)', async () => {
    const world = room();
    world.guest.answersPing = false;
    world.set([vm()]);
    await world.pass(20_000);
    expect(world.pings).toEqual([]);
    world.guest.answersPing = true;
    await world.pass(1000);
    expect(world.pings.length).toBeGreaterThan(8);
    expect(world.pings.every(([vmId, , rttMs]) => vmId === 'vm1' && rttMs === 0)).toBe(true);
    world.guest.answersPing = false;
    await world.pass(6000);
    expect(world.pings.at(-1)?.[2]).toBe(null);
    world.set([]);
    const count = world.pings.length;
    await world.pass(10_000);
    expect(world.pings.length).toBe(count);
    expect([...world.network.listeners.keys()]).toEqual([]);
  });

  it('sends nothing to a VM whose owner has not come yet, and pings on while one that came is away (GW48)', async () => {
    const world = room();
    let frames = 0;
    const receive = world.guest.receive.bind(world.guest);
    world.guest.receive = (frame) => {
      frames++;
      receive(frame);
    };
    world.set([{ ...vm(), attached: false }]);
    await world.pass(2000);
    expect(frames).toBe(0);
    world.set([vm()]);
    await world.pass(1000);
    world.set([{ ...vm(), attached: false }]);
    world.guest.answersPing = false;
    await world.pass(6000);
    expect(world.pings.at(-1)?.[2]).toBe(null);
  });

  it("keeps a copy of the room's frames from when it is told to until it is told to stop (GW60)", () => {
    const world = room({ wallClock: () => 1_700_000_000_000 });
    const gateway = world.gateways.of('default' as RoomName)!;
    expect([gateway.captureState(), gateway.captured()]).toEqual([{ running: false, frames: 0, lost: 0 }, null]);
    gateway.startCapture();
    for (const copy of world.copies) copy.receive(new Uint8Array(60));
    expect(gateway.captureState()).toEqual({ running: true, frames: 1, lost: 0 });
    expect(parsePcap(new Uint8Array(Buffer.concat(gateway.captured()!.pieces)))).toEqual([{ at: 1_700_000_000_000, frame: new Uint8Array(60) }]);
    gateway.startCapture();
    expect([gateway.captureState().frames, world.copies.size]).toEqual([0, 1]);
    gateway.stopCapture();
    expect([gateway.captured(), world.copies.size]).toEqual([null, 0]);
    gateway.startCapture();
    world.left.emit(undefined);
    expect([gateway.captured(), gateway.captureState().running, world.copies.size]).toEqual([null, false, 0]);
    gateway.startCapture();
    world.opened.dispose();
    expect(world.copies.size).toBe(0);
  });

  it('captures few rooms at a time, for each takes memory (GW60)', () => {
    const world = room();
    const others = Array.from({ length: 9 }, (_, index) => `room-${index}` as RoomName);
    for (const name of others) world.gateways.open({ ...world.lan, room: name, plug: () => ({ send: () => undefined, dispose: () => undefined }) });
    const all = others.map((name) => world.gateways.of(name)!);
    for (const one of all.slice(0, 8)) one.startCapture();
    expect(() => all[8]!.startCapture()).toThrow('The server captures 8 rooms at a time');
    all[0]!.startCapture();
    all[0]!.stopCapture();
    all[8]!.startCapture();
  });

  it('leaves nothing behind when the room closes (GW49)', async () => {
    const world = room();
    world.set([vm()]);
    await world.pass(100);
    world.opened.dispose();
    await world.pass(0);
    expect(world.listeners.size).toBe(0);
    expect(world.plugged()).toBe(false);
    expect([...world.network.listeners.keys()]).toEqual([]);
    expect(world.clock.pending).toBe(0);
    expect(world.gateways.of('default' as RoomName)).toBe(undefined);
  });
});
