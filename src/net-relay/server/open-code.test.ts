/** A server that asks for a code when somebody opens a new room (NR32). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectHost, type HostClient } from '../client/host-client.ts';
import type { HostId, RoomName } from '../../shared/ids.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

const CODE = 'lecture-2027';
let lan: VirtualLan;
beforeEach(() => {
  lan = new VirtualLan({}, CODE);
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

async function join(hostId: string, room: string, openCode?: string): Promise<HostClient> {
  const key = room === 'default' ? lan.relay.defaultRoomKey : `a-key-of-${room}-0123456789`;
  const host = lan.keep(
    connectHost({
      url: 'ws://relay/relay/host',
      room: room as RoomName,
      key,
      hostId: hostId as HostId,
      hostToken: `token-of-${hostId}-0123456789`,
      name: hostId,
      openCode,
      clock: lan.clock,
      openSocket: lan.network.openSocket(hostId),
      random: () => 0,
    }),
  );
  await lan.pass(100);
  return host;
}

describe('the code for new rooms (NR32)', () => {
  it('opens a room, which then needs its key alone, and is asked for by no room that exists', async () => {
    expect((await join('stranger', 'mine')).state).toMatchObject({ kind: 'refused', cause: 'open-code' });
    expect((await join('guesser', 'mine', 'another-code')).state).toMatchObject({ kind: 'refused', cause: 'open-code' });
    expect((await join('lecturer', 'mine', CODE)).state.kind).toBe('connected');
    expect((await join('guest', 'mine')).state.kind).toBe('connected');
    expect((await join('other', 'default')).state.kind).toBe('connected');
  });

  it('is not asked of those who come back after a restart, whoever comes first, though no PC was in the room', async () => {
    const lecturer = await join('lecturer', 'mine', CODE);
    const guest = await join('guest', 'mine');
    lecturer.dispose();
    lan.crashRelay();
    lan.startRelay();
    await lan.pass(5000);
    expect(guest.state.kind).toBe('connected');
  });
});
