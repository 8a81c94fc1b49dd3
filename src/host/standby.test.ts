import { beforeEach, describe, expect, it } from 'vitest';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import type { FromVmWorker, ToVmWorker } from '../vm-host/vm-worker-messages.ts';
import { Standby } from './standby.ts';

const GUEST = {} as GuestSet;

class FakeWorker {
  onmessage: ((event: { data: FromVmWorker }) => void) | null = null;
  readonly orders: string[] = [];
  ended = false;
  postMessage = ({ type }: ToVmWorker): void => void this.orders.push(type);
  terminate = (): void => void (this.ended = true);
}

let clock: VirtualClock;
let workers: FakeWorker[];
let wanted: boolean;
let canSpawn: boolean;
let standby: Standby;

beforeEach(() => {
  clock = new VirtualClock();
  workers = [];
  wanted = true;
  canSpawn = true;
  standby = new Standby({
    clock,
    wanted: () => wanted,
    spawn() {
      if (!canSpawn) throw new Error('There is no memory for another worker.');
      const worker = new FakeWorker();
      workers.push(worker);
      return worker as unknown as Worker;
    },
  });
});

/** Runs everything that waits for time to pass. */
function passTime(): void {
  while (clock.fireNext());
}

describe('a machine that stands ready', () => {
  it('is built once the guest is there and it is wanted, a while later, and is taken by the next VM', () => {
    standby.reconsider();
    passTime();
    expect(workers).toEqual([]);
    standby.loaded(GUEST);
    standby.reconsider();
    expect(workers).toEqual([]);
    passTime();
    expect(workers.map(({ orders }) => orders)).toEqual([['prepare']]);
    standby.take(GUEST).post({ type: 'cancel' });
    expect(workers.map(({ orders }) => orders)).toEqual([['prepare', 'cancel']]);
    standby.dispose();
    expect([workers[0]?.ended, clock.pending]).toEqual([false, 0]);
  });

  it('is made at once for a VM that comes earlier', () => {
    standby.loaded(GUEST);
    standby.take(GUEST);
    passTime();
    expect(workers.map(({ orders }) => orders)).toEqual([['prepare']]);
    // The tab has a VM now; when that has gone, the next is built.
    standby.reconsider();
    passTime();
    expect(workers).toHaveLength(2);
  });

  it('goes as soon as it is not wanted any more, be it built or not', () => {
    standby.loaded(GUEST);
    wanted = false;
    standby.reconsider();
    passTime();
    expect(workers).toEqual([]);
    wanted = true;
    standby.reconsider();
    passTime();
    wanted = false;
    standby.reconsider();
    expect([workers.map(({ ended }) => ended), clock.pending]).toEqual([[true], 0]);
  });

  it('that fails is not built again, and the next VM says why in its own words', () => {
    standby.loaded(GUEST);
    passTime();
    workers[0]?.onmessage?.({ data: { type: 'failed', reason: 'There is no memory.' } });
    expect(workers[0]?.ended).toBe(true);
    standby.reconsider();
    passTime();
    expect(workers).toHaveLength(1);
    standby.take(GUEST);
    expect(workers).toHaveLength(2);
    canSpawn = false;
    expect(() => standby.take(GUEST)).toThrow('no memory');
  });

  it('whose worker cannot be made is done without', () => {
    canSpawn = false;
    standby.loaded(GUEST);
    passTime();
    canSpawn = true;
    standby.reconsider();
    passTime();
    expect(workers).toEqual([]);
  });

  it('that fails after it was taken is no concern of its', () => {
    standby.loaded(GUEST);
    passTime();
    standby.take(GUEST);
    workers[0]?.onmessage?.({ data: { type: 'failed', reason: 'Boom.' } });
    standby.reconsider();
    passTime();
    expect(workers.map(({ ended }) => ended)).toEqual([false, false]);
  });
});
