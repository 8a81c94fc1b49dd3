/** A socket that sends more than its share is read more slowly; nothing that it sent is lost, and nobody else waits. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostId } from '../../shared/ids.ts';
import { RELAY_PROTOCOL_VERSION } from '../protocol/relay-protocol.ts';
import { MAX_WAITING_BYTES, SHARED_PACE, SOCKET_PACE } from '../limits/server-limits.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

let lan: VirtualLan;
beforeEach(() => {
  lan = new VirtualLan();
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

/** A host socket as the relay sees it. */
function rawHost(hostId: string, caller: { address?: string } = {}, waiting = 0) {
  const seen = { paused: false, pauses: 0, closed: [] as string[] };
  const events = lan.relay.connect(
    'host',
    {
      backlogBytes: waiting,
      sendText: () => undefined,
      sendUtf8: () => undefined,
      sendBinary: () => undefined,
      pause: () => {
        seen.paused = true;
        seen.pauses += 1;
      },
      resume: () => void (seen.paused = false),
      close: (_code, reason) => void seen.closed.push(reason),
      terminate: () => void seen.closed.push('terminated'),
    },
    caller,
  );
  events.text(
    JSON.stringify({
      type: 'hello',
      version: RELAY_PROTOCOL_VERSION,
      room: 'default',
      key: lan.relay.defaultRoomKey,
      hostId,
      hostToken: `token-of-${hostId}-0123456789`,
      name: hostId,
    }),
  );
  return {
    seen,
    say: (message: object, times = 1) => {
      for (let time = 0; time < times; time++) events.text(JSON.stringify(message));
    },
  };
}

describe('what a host sends', () => {
  it('all arrives, a burst at once and the rest at the pace of a socket, while others are read at once (NR37)', async () => {
    const [flooding, other] = [lan.host('a'), lan.host('b')];
    await lan.pass(20);
    let heard = 0;
    other.onMessage(() => (heard += 1));
    const count = SOCKET_PACE.messageBurst + SOCKET_PACE.messagesPerSecond * 7;
    for (let sent = 0; sent < count; sent++) flooding.sendToHost('b' as HostId, sent);
    await lan.pass(20);
    expect(heard).toBeGreaterThanOrEqual(SOCKET_PACE.messageBurst);
    expect(heard).toBeLessThan(SOCKET_PACE.messageBurst + SOCKET_PACE.messagesPerSecond * 0.1);
    let answered = false;
    flooding.onMessage(() => (answered = true));
    other.sendToHost('a' as HostId, 'and you?');
    await lan.pass(20);
    expect(answered).toBe(true);
    await lan.pass(8000);
    // It was not silent: it was not read.
    expect(heard).toBe(count);
    expect(lan.relay.stats().refusals).toMatchObject({ slowed: expect.any(Number) as number });
    expect(lan.relay.stats().refusals).not.toHaveProperty('silent');
  });

  it('counts for each host that gets it (NR37)', async () => {
    const speaker = rawHost('a');
    for (let index = 0; index < 100; index++) rawHost(`h${index}`);
    await lan.pass(20);
    speaker.say({ type: 'to-room', body: 'x' }, 40);
    expect(speaker.seen.paused).toBe(false);
    speaker.say({ type: 'to-room', body: 'x' }, 15);
    expect(speaker.seen.paused).toBe(true);
    await lan.pass(5000);
    expect(speaker.seen.paused).toBe(false);
    const { pauses } = speaker.seen;
    speaker.say({ type: 'to-room', body: 'x'.repeat(200_000) }, 2);
    expect(speaker.seen.pauses).toBe(pauses + 1);
  });

  it.each(['room', 'address'])('counts for all sockets of its %s together (NR37)', async (what) => {
    const hosts = Array.from({ length: 10 }, (_, index) => rawHost(`h${index}`, { address: what === 'address' ? '192.0.2.1' : `192.0.2.${index}` }));
    await lan.pass(20);
    const each = SHARED_PACE.messageBurst / 10;
    for (const host of hosts) host.say({ type: 'heartbeat', at: 0 }, each - 20);
    expect(hosts.filter(({ seen }) => seen.paused)).toEqual([]);
    for (const host of hosts) host.say({ type: 'heartbeat', at: 0 }, 100);
    expect(hosts.filter(({ seen }) => seen.paused).length).toBeGreaterThan(5);
    await lan.pass(5000);
    expect(hosts.filter(({ seen }) => seen.paused)).toEqual([]);
  });
});

it('lets the sockets with the most waiting go when too much waits in all of them (NR38)', async () => {
  const waiting = MAX_WAITING_BYTES / 20;
  const quiet = rawHost('quiet', {}, 1000);
  const deaf = Array.from({ length: 22 }, (_, index) => rawHost(`deaf-${index}`, {}, waiting));
  await lan.pass(1100);
  expect(quiet.seen.closed).toEqual([]);
  expect(deaf.filter(({ seen }) => seen.closed.includes('terminated'))).toHaveLength(3);
  expect(lan.relay.stats().refusals).toMatchObject({ 'waiting-full': 3 });
});
