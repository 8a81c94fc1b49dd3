/** A gateway with guests made of frames, in virtual time, and the host machine's network in memory. */
import { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import { disposable } from '../../../shared/disposable.ts';
import { createGateway, type Gateway, type GatewayOptions } from '../gateway.ts';
import type { Lease, LeaseTable } from '../leases.ts';
import { FrameGuest } from './frame-guest.ts';
import { HeapClock } from './heap-clock.ts';
import { MemoryHostNetwork } from './memory-host-network.ts';

export const GATEWAY_ADDRESS = 0x0a560001;
export const GATEWAY_MAC_NUMBER = 0x020000000001;
export const OUTSIDE = 0x5db8d822;

/** A lease table that a test changes. */
class TestLeases implements LeaseTable {
  private leases: Lease[] = [];
  private readonly listeners = new Set<() => void>();

  all(): Iterable<Lease> {
    return this.leases;
  }

  onChange(listener: () => void): ReturnType<LeaseTable['onChange']> {
    this.listeners.add(listener);
    return disposable(() => this.listeners.delete(listener));
  }

  set(leases: Lease[]): void {
    this.leases = leases;
    for (const listener of this.listeners) listener();
  }

  get listenerCount(): number {
    return this.listeners.size;
  }
}

export interface GatewayWorld {
  readonly clock: HeapClock;
  readonly network: MemoryHostNetwork;
  readonly leases: TestLeases;
  readonly gateway: Gateway;
  /** VMs `one` and `two`, named One and Two. */
  readonly one: FrameGuest;
  readonly two: FrameGuest;
  readonly log: string[];
  /** Lets time pass, firing timers. */
  readonly pass: (ms: number) => Promise<void>;
}

export function gatewayWorld(options: Partial<GatewayOptions> = {}): GatewayWorld {
  const clock = new HeapClock();
  const network = new MemoryHostNetwork();
  const leases = new TestLeases();
  const random = new SeededRandom(42);
  const log: string[] = [];
  const guest = (number: number): FrameGuest =>
    new FrameGuest({
      mac: 0x025a00000000 + number,
      ip: GATEWAY_ADDRESS + number,
      gatewayMac: GATEWAY_MAC_NUMBER,
      clock,
      seed: number,
      send: (frame) => gateway.receive(frame),
    });
  const one = guest(1);
  const two = guest(2);
  leases.set([one.lease('one', 'One'), two.lease('two', 'Two')]);
  const gateway: Gateway = createGateway({
    mac: '02:00:00:00:00:01',
    ip: '10.86.0.1',
    netmask: '255.255.255.0',
    leases,
    clock,
    network,
    random32: () => random.below(0x1_0000_0000),
    log: (line) => void log.push(line),
    send: (frame) => {
      const group = ((frame[0] ?? 0) & 1) === 1;
      for (const station of [one, two]) if (group || frame[5] === (station.mac & 255)) station.receive(frame);
    },
    ...options,
  });
  return {
    clock,
    network,
    leases,
    gateway,
    one,
    two,
    log,
    async pass(ms) {
      const end = clock.now() + ms;
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      while ((clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) {
        clock.fireNext();
        for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      }
      clock.pass(end - clock.now());
    },
  };
}
