import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId } from '../shared/ids.ts';
import { GATHER_MS, Gathering, WAIT_LIMIT_MS } from './gathering.ts';
import { systemClock } from '../shared/system-clock.ts';

const [A, B] = [
  { id: 'a', name: 'one' },
  { id: 'b', name: 'two' },
];
const OTHER = B.id as HostId;

/** The room of tab A; B was in it, too. */
function room() {
  const gathering = new Gathering([A, B], systemClock);
  const left: string[] = [];
  gathering.left.on((host) => left.push(host.name));
  return { gathering, left };
}

describe('hosts that find each other again', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('does not take a host for gone that a restarted server does not know yet', async () => {
    const { gathering, left } = room();
    gathering.cutOff();
    gathering.begin();
    gathering.take([A]);
    const present = gathering.whenPresent(OTHER);
    expect(gathering.expected).toEqual([B]);
    await vi.advanceTimersByTimeAsync(GATHER_MS - 1);
    gathering.take([A, B]);
    expect(await present).toBe(true);
    await vi.advanceTimersByTimeAsync(GATHER_MS);
    expect(left).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('expects nobody any more once the server has refused this tab', async () => {
    const { gathering } = room();
    gathering.cutOff();
    const present = gathering.whenPresent(OTHER);
    gathering.refused();
    expect(vi.getTimerCount()).toBe(0);
    expect(await present).toBe(false);
    expect(await gathering.whenPresent(OTHER)).toBe(false);
  });

  it('takes it for gone when it had time to return', async () => {
    const { gathering, left } = room();
    gathering.begin();
    gathering.take([A]);
    const present = gathering.whenPresent(OTHER);
    await vi.advanceTimersByTimeAsync(GATHER_MS);
    expect(await present).toBe(false);
    expect(left).toEqual(['two']);
    expect(gathering.expected).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('takes it for gone at once while the server has been there all the time', async () => {
    const { gathering, left } = room();
    gathering.take([A]);
    expect(left).toEqual(['two']);
    expect(await gathering.whenPresent(OTHER)).toBe(false);
  });

  it('waits for the server, but not for ever', async () => {
    const { gathering } = room();
    gathering.cutOff();
    const returned = gathering.whenPresent(OTHER);
    await vi.advanceTimersByTimeAsync(WAIT_LIMIT_MS - 1);
    gathering.begin();
    expect(await returned).toBe(true);
    gathering.cutOff();
    const lost = gathering.whenPresent(OTHER);
    await vi.advanceTimersByTimeAsync(WAIT_LIMIT_MS);
    expect(await lost).toBe(false);
  });
});
