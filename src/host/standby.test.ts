import { beforeEach, describe, expect, it } from 'vitest';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import type { FromVmWorker, ToVmWorker } from '../vm-host/vm-worker-messages.ts';
import { Standby } from './standby.ts';

const GUEST = {} as GuestSet;
const MANIFEST = 'http://server/guest/manifest.json';

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
    manifestUrl: MANIFEST,
    wanted: () => wanted,
    spawn() {
      if (!canSpawn) throw new Error('There is no memory for another worker.');
      const worker = new FakeWorker();
      workers.push(worker);
      return worker as unknown as Worker;
    },
  });
});

/** Has the guest loaded by a worker, which then stands ready if that is wanted. */
async function load(): Promise<void> {
  const loading = standby.load(() => undefined);
  workers.at(-1)?.onmessage?.({ data: { type: 'loaded', guest: GUEST } });
  await loading;
}

/** Runs everything that waits for time to pass. */
function passTime(): void {
  while (clock.fireNext());
}

describe('the guest', () => {
  it('is loaded by a worker, which stands ready for the first VM', async () => {
    const shares: number[] = [];
    const loading = standby.load((share) => shares.push(share));
    expect(workers.map(({ orders }) => orders)).toEqual([['load']]);
    expect(standby.isThere).toBe(true);
    // It is needed, whatever is expected of this tab.
    wanted = false;
    standby.reconsider();
    for (const share of [0.1, 0.7]) workers[0]?.onmessage?.({ data: { type: 'loading', share } });
    wanted = true;
    workers[0]?.onmessage?.({ data: { type: 'loaded', guest: GUEST } });
    expect(await loading).toBe(GUEST);
    expect(shares).toEqual([0.1, 0.7]);
    standby.take(GUEST).post({ type: 'cancel' });
    passTime();
    expect(workers.map(({ orders }) => orders)).toEqual([['load', 'cancel']]);
  });

  it('is loaded without a machine that stays where none is wanted', async () => {
    wanted = false;
    await load();
    expect([workers.map(({ ended }) => ended), standby.isThere]).toEqual([[true], false]);
  });

  it('can be loaded again after a failure, in the words of the worker', async () => {
    const loading = standby.load(() => undefined);
    workers[0]?.onmessage?.({ data: { type: 'failed', reason: 'The server has no guest.' } });
    await expect(loading).rejects.toThrow('The server has no guest.');
    expect([workers[0]?.ended, standby.isThere]).toEqual([true, false]);
    await load();
    expect(workers.map(({ ended }) => ended)).toEqual([true, false]);
    canSpawn = false;
    await expect(standby.load(() => undefined)).rejects.toThrow('no memory');
  });

  it('is not loaded any more when the tab goes away', () => {
    void standby.load(() => undefined);
    standby.dispose();
    expect([workers[0]?.ended, clock.pending]).toEqual([true, 0]);
  });
});

describe('a machine that stands ready', () => {
  /** The first worker, which has loaded the guest, was needed by a VM. */
  beforeEach(async () => {
    await load();
    standby.take(GUEST);
    workers = [];
  });

  it('is built when it is wanted again, a while later, and is taken by the next VM', () => {
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
    standby.take(GUEST);
    passTime();
    expect(workers.map(({ orders }) => orders)).toEqual([['prepare']]);
    // The tab has a VM now; when that has gone, the next is built.
    standby.reconsider();
    passTime();
    expect(workers).toHaveLength(2);
  });

  it('goes as soon as it is not wanted any more, be it built or not', () => {
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
    standby.reconsider();
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
    standby.reconsider();
    passTime();
    canSpawn = true;
    standby.reconsider();
    passTime();
    expect(workers).toEqual([]);
  });

  it('that fails after it was taken is no concern of its', () => {
    standby.reconsider();
    passTime();
    standby.take(GUEST);
    workers[0]?.onmessage?.({ data: { type: 'failed', reason: 'Boom.' } });
    standby.reconsider();
    passTime();
    expect(workers.map(({ ended }) => ended)).toEqual([false, false]);
  });
});
