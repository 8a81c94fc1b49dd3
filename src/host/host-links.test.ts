import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import { HostLinks } from './host-links.ts';
import type { HostMessage } from './host-messages.ts';
import { systemClock } from '../shared/system-clock.ts';

const [A, B] = ['a', 'b'] as [HostId, HostId];
const [MOVE, VM] = ['move-1' as MigrationId, 'vm-1' as VmId];

/** Two tabs connected only by the relay. Messages that a tab sends while it is cut off come back to it; so do messages to a host that is away. */
function twoTabs() {
  const away = new Set<HostId>();
  /** Tabs that are cut off and do not know it yet: what they send is lost. */
  const deaf = new Set<HostId>();
  const handedOver: string[] = [];
  const wanted = new AbortController();
  /** The share of the guest that the target has loaded; null: all of it. */
  const loading: { share: number | null } = { share: null };
  const shares: number[] = [];
  const tab = (self: HostId): HostLinks =>
    new HostLinks({
      clock: systemClock,
      self,
      connections: null,
      presence: null,
      send: (to, message) => queueMicrotask(() => transmit(self, to, message)),
      accept: (_from, migrationId, _vmId, attempt, hand) => {
        if (loading.share !== null) return { loaded: loading.share };
        hand(() => handedOver.push(`${self} takes ${migrationId}/${attempt}`));
        return 'open';
      },
      abandoned: (_from, migrationId) => handedOver.push(`${self} drops ${migrationId}`),
    });
  const tabs = new Map([
    [A, tab(A)],
    [B, tab(B)],
  ]);
  function transmit(from: HostId, to: HostId, message: HostMessage): void {
    if (
      message.type !== 'open-link' &&
      message.type !== 'link-opened' &&
      message.type !== 'link-refused' &&
      message.type !== 'link-waits' &&
      message.type !== 'link-abandoned'
    )
      return;
    if (deaf.has(from) || deaf.has(to)) return;
    if (!away.has(from) && !away.has(to)) tabs.get(to)?.receive(from, message);
    else if (message.type === 'open-link') tabs.get(from)?.undeliverable(to, message);
  }
  const a = tabs.get(A) as HostLinks;
  const present = (): void => a.meet([A, B].filter((host) => host === A || !away.has(host)));
  present();
  return {
    a,
    handedOver,
    deaf,
    loading,
    shares,
    openNext: (attempt: number) =>
      a.open(
        B,
        MOVE,
        VM,
        () => handedOver.push(`a hands over ${attempt}`),
        { signal: wanted.signal, targetLoading: () => undefined },
        { attempt, avoid: 'local' },
      ),
    refusedByServer: (reason: string) => a.refused(reason),
    hears: (message: Parameters<HostLinks['receive']>[1]) => a.receive(B, message),
    open: () => a.open(B, MOVE, VM, () => handedOver.push('a hands over'), { signal: wanted.signal, targetLoading: (share) => shares.push(share) }),
    giveUp: () => wanted.abort(),
    cutOff: () => {
      deaf.delete(A);
      away.add(A);
      a.cutOff();
    },
    returns: () => {
      away.delete(A);
      present();
      a.returned();
    },
    leaves: () => {
      away.add(B);
      present();
    },
    /** The relay keeps listing the target for a while. */
    targetCutOff: () => void away.add(B),
    comesBack: () => {
      away.delete(B);
      present();
    },
  };
}

async function passing(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

describe('HostLinks', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('waits for a target that still loads the guest, for as long as it says so, and tells how far it is', async () => {
    const { open, handedOver, loading, shares } = twoTabs();
    loading.share = 0.25;
    const opening = open();
    await passing(60_000);
    expect(handedOver).toEqual([]);
    expect(new Set(shares)).toEqual(new Set([0.25]));
    loading.share = null;
    await passing(1000);
    expect(await opening).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/0', 'a hands over']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not wait for a target that loads the guest and falls silent', async () => {
    const { open, loading, deaf } = twoTabs();
    loading.share = 0.25;
    const opening = expect(open()).rejects.toMatchObject({ cause: 'link-failed' });
    await passing(20_000);
    deaf.add(B);
    await passing(35_000);
    await opening;
  });

  it('can give up while the target loads the guest', async () => {
    const { open, giveUp, handedOver, loading } = twoTabs();
    loading.share = 0.25;
    const opening = expect(open()).rejects.toMatchObject({ cause: 'cancelled' });
    await passing(2000);
    giveUp();
    await opening;
    loading.share = null;
    await passing(2000);
    expect(handedOver).toEqual(['b drops move-1']);
  });

  it('tells the target that nothing will come when it gives up before the target has answered', async () => {
    const { open, giveUp, handedOver, targetCutOff, comesBack } = twoTabs();
    targetCutOff();
    const opening = expect(open()).rejects.toMatchObject({ cause: 'cancelled' });
    await passing(0);
    comesBack();
    giveUp();
    await opening;
    await passing(1000);
    expect(handedOver).toEqual(['b drops move-1']);
  });

  it("hands over the target's end, then the source's", async () => {
    const { open, handedOver } = twoTabs();
    expect(await open()).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/0', 'a hands over']);
  });

  it('takes no late answer about a link that died for one about the next', async () => {
    const { openNext, hears, deaf, handedOver } = twoTabs();
    deaf.add(B);
    const next = openNext(1);
    await passing(100);
    hears({ type: 'link-waits', migrationId: MOVE, attempt: 0, loaded: 0.5 });
    hears({ type: 'link-refused', migrationId: MOVE, attempt: 0, reason: 'Not now.' });
    hears({ type: 'link-opened', migrationId: MOVE, attempt: 0 });
    await passing(100);
    expect(handedOver).toEqual([]);
    deaf.delete(B);
    await passing(1000);
    expect(await next).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/1', 'a hands over 1']);
  });

  it('gives up at once what is being opened, and opens nothing more, when the server refuses this tab for good', async () => {
    const { open, deaf, refusedByServer } = twoTabs();
    deaf.add(B);
    const opening = expect(open()).rejects.toMatchObject({ cause: 'relay-lost', message: 'The key is wrong.' });
    await passing(100);
    refusedByServer('The key is wrong.');
    await opening;
    await expect(open()).rejects.toMatchObject({ cause: 'relay-lost', message: 'The key is wrong.' });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says at once that a host that left cannot be reached', async () => {
    const { open, leaves } = twoTabs();
    leaves();
    await expect(open()).rejects.toMatchObject({ cause: 'unknown-host', message: expect.stringContaining('cannot be reached') as string });
  });

  it('asks when the server answers again, if this tab is cut off', async () => {
    const { open, cutOff, returns, handedOver } = twoTabs();
    cutOff();
    const link = open();
    await passing(4000);
    expect(handedOver).toEqual([]);
    returns();
    expect(await link).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/0', 'a hands over']);
  });

  it('asks again for what was lost because this tab did not know yet that it is cut off', async () => {
    const { open, deaf, cutOff, returns, handedOver } = twoTabs();
    deaf.add(A);
    const link = open();
    await passing(100);
    cutOff();
    returns();
    expect(await link).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/0', 'a hands over']);
  });

  it('asks again for what was lost because the other host was cut off and nobody knew yet', async () => {
    const { open, deaf, handedOver } = twoTabs();
    deaf.add(B);
    const link = open();
    await passing(3000);
    deaf.delete(B);
    await passing(500);
    expect(await link).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/0', 'a hands over']);
  });

  it("does not open the target's end twice when only the answer was lost", async () => {
    const { open, deaf, cutOff, returns, handedOver } = twoTabs();
    const link = open();
    // The request is on its way; the answer will not be heard.
    queueMicrotask(() => queueMicrotask(() => deaf.add(A)));
    await passing(0);
    expect(handedOver).toEqual(['b takes move-1/0']);
    cutOff();
    returns();
    expect(await link).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/0', 'a hands over']);
  });

  it('waits for the other host too, if both were cut off', async () => {
    const { open, cutOff, returns, leaves, comesBack } = twoTabs();
    leaves();
    cutOff();
    const link = open();
    await passing(100);
    returns();
    await passing(3000);
    comesBack();
    await passing(500);
    expect(await link).toBe('relay');
  });

  it('asks again for a while if the other host is cut off', async () => {
    const { open, targetCutOff, comesBack, handedOver } = twoTabs();
    targetCutOff();
    const link = open();
    await passing(4000);
    expect(handedOver).toEqual([]);
    comesBack();
    await passing(500);
    expect(await link).toBe('relay');
    expect(handedOver).toEqual(['b takes move-1/0', 'a hands over']);

    const stays = twoTabs();
    stays.targetCutOff();
    const failed = expect(stays.open()).rejects.toMatchObject({ cause: 'unknown-host', message: expect.stringContaining('cannot be reached') as string });
    await passing(30_000);
    await failed;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('names the server when it stays away, and the other host when that one does', async () => {
    const withoutServer = twoTabs();
    withoutServer.cutOff();
    const first = expect(withoutServer.open()).rejects.toMatchObject({ cause: 'relay-lost', message: expect.stringContaining('server') as string });
    await passing(30_000);
    await first;

    const withoutTarget = twoTabs();
    withoutTarget.leaves();
    withoutTarget.cutOff();
    const second = expect(withoutTarget.open()).rejects.toMatchObject({
      cause: 'unknown-host',
      message: expect.stringContaining('cannot be reached') as string,
    });
    await passing(100);
    withoutTarget.returns();
    await passing(30_000);
    await second;
  });

  it('names a host that is there and does not answer', async () => {
    const { open, deaf } = twoTabs();
    deaf.add(B);
    const link = expect(open()).rejects.toMatchObject({ cause: 'link-failed', message: expect.stringContaining('frozen or hidden') as string });
    await passing(30_000);
    await link;
  });
});
