import { afterEach, describe, expect, it } from 'vitest';
import { describeLinkContract } from '../../migration/testing/link-contract.ts';
import type { Lane, Link } from '../../migration/ports.ts';
import type { HostId, RoomName } from '../../shared/ids.ts';
import { LANE_WINDOW_BYTES, RELAY_PROTOCOL_VERSION } from '../protocol/relay-protocol.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';
import { openRelayLink } from './relay-lane.ts';

let lan: VirtualLan;

function end(own: string, peer: string, side: 'source' | 'target', linkId = 'm1'): Link {
  const credentials = { room: 'default' as RoomName, key: lan.relay.defaultRoomKey, hostId: own as HostId, hostToken: `token-of-${own}-0123456789` };
  return openRelayLink({
    url: 'ws://relay/relay/lane',
    credentials,
    linkId,
    side,
    peerHostId: peer as HostId,
    clock: lan.clock,
    openSocket: lan.network.openSocket(own),
  });
}

async function bothHosts(): Promise<void> {
  lan = new VirtualLan();
  lan.host('a');
  lan.host('b');
  await lan.pass(20);
}

describeLinkContract("the relay's link", async () => {
  await bothHosts();
  const left = end('a', 'b', 'source');
  const right = end('b', 'a', 'target');
  await lan.pass(0);
  return {
    left,
    right,
    async until(reached) {
      for (let tries = 0; tries < 100 && !reached(); tries++) await lan.pass(10);
      if (!reached()) throw new Error('It never came to that.');
    },
    dispose: () => lan.dispose(),
  };
});

describe("the relay's link between two hosts", () => {
  afterEach(() => lan.dispose());
  const reasons = (lane: Lane): string[] => {
    const heard: string[] = [];
    lane.onClose((reason) => heard.push(reason));
    return heard;
  };

  it('joins two sides whichever comes first, and carries what was sent before (NR22)', async () => {
    await bothHosts();
    const right = end('b', 'a', 'target');
    right.control.send(Uint8Array.of(7));
    await lan.pass(3000);
    const left = end('a', 'b', 'source');
    const heard: Uint8Array[] = [];
    left.control.onMessage((message) => heard.push(message));
    await lan.pass(0);
    expect(heard).toEqual([Uint8Array.of(7)]);
  });

  it('says within ten seconds that the other host did not come', async () => {
    await bothHosts();
    const left = end('a', 'b', 'source');
    const why = reasons(left.bulk);
    await lan.pass(11_000);
    expect(why).toEqual([expect.stringContaining('ten seconds')]);
  });

  it('is not joined by a host that was not named (NR22)', async () => {
    await bothHosts();
    lan.host('c');
    await lan.pass(20);
    const left = end('a', 'b', 'source');
    const stranger = end('c', 'a', 'target');
    const heard: unknown[] = [];
    stranger.control.onMessage((message) => heard.push(message));
    left.control.send(Uint8Array.of(1));
    await lan.pass(11_000);
    expect(heard).toEqual([]);
  });

  it('tells both sides when one is cut off (NR22)', async () => {
    await bothHosts();
    const [left, right] = [end('a', 'b', 'source'), end('b', 'a', 'target')];
    await lan.pass(0);
    const [whyLeft, whyRight] = [reasons(left.control), reasons(right.control)];
    lan.network.cut('a');
    await lan.pass(0);
    expect(whyLeft).toHaveLength(1);
    expect(whyRight).toEqual([expect.stringContaining('The other host')]);
  });

  it('never lets the relay hold more than the window of a side that is not read (NR18)', async () => {
    await bothHosts();
    const left = end('a', 'b', 'source');
    end('b', 'a', 'target');
    await lan.pass(0);
    let sent = 0;
    for (let count = 0; count < 100; count++) {
      left.bulk.send(new Uint8Array(64 * 1024));
      sent += 64 * 1024;
    }
    const underWay = (): number => [...lan.network.sockets].reduce((bytes, socket) => bytes + socket.bytesToServer, 0);
    await lan.pass(1000);
    expect(underWay()).toBeLessThanOrEqual(LANE_WINDOW_BYTES);
    expect(sent).toBeGreaterThan(LANE_WINDOW_BYTES);
    expect(lan.relay.stats().refusals).toEqual({});
  });

  it('cuts off a side that ignores the window or lies about what it took in', async () => {
    await bothHosts();
    const closed: string[] = [];
    const raw = (hostId: string, peerHostId: string, side: string) => {
      const events = lan.relay.connect('lane', {
        backlogBytes: 0,
        sendText: () => undefined,
        sendUtf8: () => undefined,
        sendBinary: () => undefined,
        pause: () => undefined,
        resume: () => undefined,
        close: (_code, reason) => void closed.push(`${hostId} ${reason}`),
        terminate: () => undefined,
      });
      events.text(
        JSON.stringify({
          type: 'join-lane',
          version: RELAY_PROTOCOL_VERSION,
          room: 'default',
          key: lan.relay.defaultRoomKey,
          hostId,
          hostToken: `token-of-${hostId}-0123456789`,
          laneId: 'x',
          side,
          peerHostId,
        }),
      );
      return events;
    };
    const flooding = raw('a', 'b', 'source');
    raw('b', 'a', 'target');
    for (let count = 0; count < 20; count++) flooding.binary(new Uint8Array(64 * 1024));
    expect(closed).toEqual(['a malformed', 'b lane-closed']);
    closed.length = 0;
    raw('a', 'b', 'source');
    raw('b', 'a', 'target').text('{"type":"consumed","bytes":1}');
    expect(closed).toEqual(['b malformed', 'a lane-closed']);
  });
});
