import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { VmInfo } from '../net-relay/protocol/relay-protocol.ts';
import type { HostId, LeaseEpoch, VmId } from '../shared/ids.ts';
import { VmEndings } from './vm-endings.ts';
import { systemClock } from '../shared/system-clock.ts';

const [A, B] = ['a', 'b'] as [HostId, HostId];
const VM = 'vm-1' as VmId;
const EPOCH = 1 as LeaseEpoch;
const OFF = { how: 'powered-off' } as const;

/** Tab A, and a relay that answers as the test says. */
function tab() {
  const relay = { answer: (): Promise<void> => Promise.resolve(), listed: { hostId: A, epoch: 1 } as unknown as VmInfo | undefined, told: [] as number[] };
  const endings = new VmEndings(
    A,
    {
      destroyVm: (_vmId, epoch) => {
        relay.told.push(epoch);
        return relay.answer();
      },
      vm: () => relay.listed,
    },
    systemClock,
  );
  return { endings, relay };
}
const away = (): Promise<void> => Promise.reject(new Error('The server cannot be reached.'));
const refuse = (): Promise<void> => Promise.reject(new Error('pc-1 belongs to another host now.', { cause: 'refused' }));

describe('the end of a VM', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is told every few seconds while the relay cannot store it, and is no sign that another host has the VM', async () => {
    const { endings, relay } = tab();
    relay.answer = () => Promise.reject(new Error("The server's disk is full.", { cause: 'not-stored' }));
    expect(await endings.tell(VM, EPOCH, OFF)).toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(relay.told).toEqual([1, 1, 1]);
    relay.answer = () => Promise.resolve();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(relay.told).toEqual([1, 1, 1, 1]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is told of one that was only arriving as soon as the relay lists it as this tab's, at the epoch listed", async () => {
    const { endings, relay } = tab();
    relay.listed = { hostId: B, epoch: 1 } as unknown as VmInfo;
    endings.isOverIfHere(VM, OFF);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(relay.told).toEqual([]);
    relay.listed = { hostId: A, epoch: 2 } as unknown as VmInfo;
    endings.tellAgain();
    expect(relay.told).toEqual([2]);
    endings.isComing(VM);
    endings.tellAgain();
    expect(relay.told).toEqual([2]);
  });

  it('is among what the relay has not confirmed until it is', async () => {
    const { endings, relay } = tab();
    relay.answer = away;
    await endings.tell(VM, EPOCH, OFF);
    expect(endings.unconfirmed()).toEqual([{ vmId: VM, epoch: EPOCH, ending: OFF }]);
    relay.answer = () => Promise.resolve();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(endings.unconfirmed()).toEqual([]);
  });

  it('leaves no timer behind', async () => {
    const { endings, relay } = tab();
    relay.answer = away;
    await endings.tell(VM, EPOCH, OFF);
    endings.dispose();
    await endings.tell(VM, EPOCH, OFF);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is told again when the relay, which was away, is back', async () => {
    const { endings, relay } = tab();
    relay.answer = away;
    expect(await endings.tell(VM, EPOCH, OFF)).toBe(false);
    relay.answer = () => Promise.resolve();
    endings.tellAgain();
    await Promise.resolve();
    endings.tellAgain();
    expect(relay.told).toEqual([1, 1]);
  });

  it('is no end if another host has the VM, unless the relay gives it back', async () => {
    const { endings, relay } = tab();
    relay.answer = refuse;
    relay.listed = { hostId: B, epoch: 2 } as unknown as VmInfo;
    expect(await endings.tell(VM, EPOCH, OFF)).toBe(true);
    endings.tellAgain();
    expect(relay.told).toEqual([1]);
    relay.listed = { hostId: A, epoch: 3 } as unknown as VmInfo;
    endings.tellAgain();
    expect(relay.told).toEqual([1, 3]);
  });

  it('is not told of a VM that comes here again from another host', async () => {
    const { endings, relay } = tab();
    relay.answer = refuse;
    relay.listed = { hostId: B, epoch: 2 } as unknown as VmInfo;
    const told = endings.tell(VM, EPOCH, OFF);
    endings.isComing(VM);
    await told;
    relay.listed = { hostId: A, epoch: 3 } as unknown as VmInfo;
    endings.tellAgain();
    expect(relay.told).toEqual([1]);
  });
});
