/** A tab that was reloaded comes back before the relay hears that its old page has gone (NR7). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostId, RoomName } from '../../shared/ids.ts';
import { connectHost, type HostClient } from '../client/host-client.ts';
import type { FormerHost } from '../protocol/relay-protocol.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

let lan: VirtualLan;
beforeEach(() => {
  lan = new VirtualLan();
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

const tokenOf = (hostId: string): string => `token-of-${hostId}-0123456789`;

async function join(hostId: string, name: string, former?: FormerHost): Promise<HostClient> {
  const host = lan.keep(
    connectHost({
      url: 'ws://relay/relay/host',
      room: 'default' as RoomName,
      key: lan.relay.defaultRoomKey,
      hostId: hostId as HostId,
      hostToken: tokenOf(hostId),
      name,
      former,
      clock: lan.clock,
      openSocket: lan.network.openSocket(hostId),
      random: () => 0,
    }),
  );
  await lan.pass(100);
  return host;
}

const namesIn = (host: HostClient): string[] => (host.room?.hosts ?? []).map(({ id, name }) => `${id}: ${name}`);

describe('a tab that was reloaded', () => {
  it('takes the place of its old page, and its name', async () => {
    const old = await join('old', 'tab A');
    const watcher = await join('watcher', 'tab B');
    const fresh = await join('fresh', 'tab A', { hostId: 'old', hostToken: tokenOf('old'), gone: true });
    for (const host of [fresh, watcher]) expect(namesIn(host).sort()).toEqual(['fresh: tab A', 'watcher: tab B']);
    expect(old.state.kind).toBe('refused');
  });

  it('does so too when the old page is only away, and when the relay has heard of its end already', async () => {
    const old = await join('old', 'tab A');
    old.dispose();
    await lan.pass(100);
    expect(namesIn(await join('fresh', 'tab A', { hostId: 'old', hostToken: tokenOf('old'), gone: true }))).toEqual(['fresh: tab A']);
  });

  it("takes nobody's place whose token it does not have, nor its own", async () => {
    const other = await join('other', 'tab A');
    const thief = await join('thief', 'tab A', { hostId: 'other', hostToken: tokenOf('thief'), gone: true });
    const self = await join('self', 'tab A', { hostId: 'self', hostToken: tokenOf('self'), gone: true });
    expect([other, thief, self].map(({ state }) => state.kind)).toEqual(['connected', 'connected', 'connected']);
    expect(namesIn(self)).toEqual(['other: tab A', 'thief: tab A 2', 'self: tab A 3']);
  });

  it('that did not say that it went takes the place of a connection that broke, and none of a page that is there', async () => {
    const former = { hostId: 'old', hostToken: tokenOf('old'), gone: false };
    const old = await join('old', 'tab A');
    expect(namesIn(await join('copy', 'tab A', former))).toEqual(['old: tab A', 'copy: tab A 2']);
    // Its process broke down.
    lan.network.cut('old');
    old.dispose();
    expect(namesIn(await join('fresh', 'tab A', former)).sort()).toEqual(['copy: tab A 2', 'fresh: tab A']);
  });
});
