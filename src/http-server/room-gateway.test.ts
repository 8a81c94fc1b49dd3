import { describe, expect, it } from 'vitest';
import type { Clock } from '../migration/ports.ts';
import type { HostNetwork } from '../net-relay/gateway/host-network.ts';
import { lanAddress, type Lan, type LanVm } from '../net-relay/lan.ts';
import type { PortForward } from '../net-relay/relay-protocol.ts';
import { disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId, MacAddress, RoomName, VmId } from '../shared/ids.ts';
import { openRoomGateways } from './room-gateway.ts';

/** Time that moves only when told to. */
class HandClock implements Clock {
  private time = 0;
  private readonly timers = new Set<{ at: number; callback: () => void }>();
  now = (): number => this.time;
  setTimeout(callback: () => void, ms: number): { dispose(): void } {
    const timer = { at: this.time + ms, callback };
    this.timers.add(timer);
    return disposable(() => this.timers.delete(timer));
  }
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = [...this.timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.timers.delete(next);
      this.time = next.at;
      next.callback();
    }
    this.time = end;
  }
  get pending(): number {
    return this.timers.size;
  }
}

/** Host ports without sockets; `taken` ones cannot be opened. */
function fakeNetwork(taken: readonly number[]): HostNetwork & { readonly open: Set<number> } {
  const open = new Set<number>();
  let next = 40_000;
  const unused = (): never => {
    throw new Error('not used here');
  };
  return {
    open,
    listen: (_address, port) => {
      const real = port === 0 ? next++ : port;
      if (taken.includes(real) || open.has(real)) return Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' }));
      open.add(real);
      return Promise.resolve({
        port: real,
        close: () => {
          open.delete(real);
          return Promise.resolve();
        },
      });
    },
    connect: unused,
    datagrams: unused,
    resolve: unused,
  };
}

function lan(): Lan & { set(...vms: LanVm[]): void; readonly pings: unknown[]; readonly forwards: Map<string, readonly PortForward[]>; readonly frames: Uint8Array[]; readonly stations: Set<unknown>; readonly listeners: number } {
  let vms: readonly LanVm[] = [];
  const changed = new Emitter<undefined>();
  const stations = new Set<unknown>();
  const frames: Uint8Array[] = [];
  const pings: unknown[] = [];
  const forwards = new Map<string, readonly PortForward[]>();
  return {
    room: 'test' as RoomName,
    pings, forwards, frames, stations,
    get listeners() {
      return changed.listenerCount;
    },
    set(...next) {
      vms = next;
      changed.emit(undefined);
    },
    plug(station) {
      stations.add(station);
      return { send: (frame) => frames.push(frame), dispose: () => stations.delete(station) };
    },
    vms: () => vms,
    onVms: (listener) => changed.on(listener),
    reportPing: (vmId, seq, rttMs) => pings.push({ vmId, seq, rttMs }),
    setForwards: (vmId, now) => forwards.set(vmId, now),
  };
}

function vm(number: number, parts: Partial<LanVm> = {}): LanVm {
  return { id: `vm${number}` as VmId, name: `PC ${number}`, mac: `02:5a:00:00:00:0${number}` as MacAddress, ip: lanAddress(number), ownerHostId: 'h' as HostId, epoch: 1, attached: false, forwards: [], ...parts };
}

/** Lets promises that wait for nothing outside run to their end. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setup(taken: readonly number[] = [], wanted: { hostPort: number; vm: string; guestPort: number }[] = []) {
  const clock = new HandClock();
  const network = fakeNetwork(taken);
  const room = lan();
  const log: string[] = [];
  const gateway = openRoomGateways({ clock, pingMs: 100, forwardAddress: '127.0.0.1', forwards: wanted, log: (line) => log.push(line), network })(room);
  return { clock, network, room, log, gateway };
}

describe('a room\'s gateway', () => {
  it('opens a host port for SSH and one for the web server of each VM, and closes them as the VM ends', async () => {
    const { room, network, gateway } = setup();
    room.set(vm(2), vm(3));
    await settle();
    expect(room.forwards.get('vm2')).toEqual([{ guestPort: 22, hostPort: expect.any(Number) as number }, { guestPort: 80, hostPort: expect.any(Number) as number }]);
    expect(network.open.size).toBe(4);
    room.set(vm(3));
    await settle();
    expect(network.open.size).toBe(2);
    gateway.dispose();
    await settle();
    expect(network.open.size).toBe(0);
  });

  it('opens the ports a VM had before a restart, or others where those are taken now', async () => {
    const { room, log, gateway } = setup([40_022]);
    room.set(vm(2, { forwards: [{ guestPort: 22, hostPort: 40_022 }, { guestPort: 80, hostPort: 40_080 }] }));
    await settle();
    const [ssh, web] = room.forwards.get('vm2')!;
    expect(web).toEqual({ guestPort: 80, hostPort: 40_080 });
    expect(ssh!.hostPort).not.toBe(40_022);
    expect(log).toEqual([]);
    gateway.dispose();
  });

  it('opens exactly the ports asked for, and says so when one is taken', async () => {
    const { room, log, gateway } = setup([8081], [{ hostPort: 8080, vm: 'PC 2', guestPort: 80 }, { hostPort: 8081, vm: 'vm2', guestPort: 443 }]);
    room.set(vm(2), vm(3));
    await settle();
    expect(room.forwards.get('vm2')).toContainEqual({ guestPort: 80, hostPort: 8080 });
    expect(room.forwards.get('vm2')).toHaveLength(3);
    expect(room.forwards.get('vm3')).toHaveLength(2);
    expect(log.join()).toContain('Port 8081');
    gateway.dispose();
  });

  it('pings a VM from its first port on, across a move, until it ends', async () => {
    const { room, clock, gateway } = setup();
    room.set(vm(2));
    await settle();
    clock.advance(10_000);
    expect(room.pings).toEqual([]);
    room.set(vm(2, { attached: true }));
    clock.advance(1000);
    room.set(vm(2, { attached: true, epoch: 2 }));
    clock.advance(9000);
    expect(room.pings.length).toBeGreaterThan(10);
    // Nobody answers here: each beat is reported once, as lost.
    expect(room.pings).toEqual(room.pings.map((_, seq) => ({ vmId: 'vm2', seq, rttMs: null })));
    room.set();
    const count = room.pings.length;
    clock.advance(10_000);
    expect(room.pings.length).toBe(count);
    gateway.dispose();
  });

  it('leaves nothing behind', async () => {
    const { room, network, clock, gateway } = setup();
    room.set(vm(2, { attached: true }));
    await settle();
    gateway.dispose();
    await settle();
    expect({ stations: room.stations.size, listeners: room.listeners, ports: network.open.size, timers: clock.pending }).toEqual({ stations: 0, listeners: 0, ports: 0, timers: 0 });
  });
});
