/** Every kind of lane that a page opens fulfils the same contract. For the relay's lanes: net-relay/client/relay-lane.test.ts. */
import { describe, expect, it } from 'vitest';
import type { Lane, Link } from '../migration/ports.ts';
import type { LinkKind } from '../migration/report.ts';
import { describeLinkContract, type LinkUnderTest } from '../migration/testing/link-contract.ts';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { openBroadcastLane } from './broadcast-lane.ts';
import { openDataChannelLane } from './data-channel-lane.ts';
import { bridgeToPort, openPortLane } from './port-lane.ts';
import { FakeDataChannel } from './testing/fake-data-channel.ts';

const LIMIT_TASKS = 20_000;
let opened = 0;

async function until(reached: () => boolean): Promise<void> {
  for (let tasks = 0; tasks < LIMIT_TASKS && !reached(); tasks++) await new Promise((resolve) => setImmediate(resolve));
  if (!reached()) throw new Error('It never came to that.');
}

function link(kind: LinkKind, control: Lane, bulk: Lane): Link {
  return {
    kind,
    control,
    bulk,
    close() {
      control.close();
      bulk.close();
    },
  };
}

function underTest(left: Link, right: Link): LinkUnderTest {
  return {
    left,
    right,
    until,
    dispose() {
      left.close();
      right.close();
    },
  };
}

const channelLanes = (): [Lane, Lane] => {
  const [one, other] = FakeDataChannel.pair();
  return [openDataChannelLane(one as unknown as RTCDataChannel), openDataChannelLane(other as unknown as RTCDataChannel)];
};
const bridged = (lane: Lane): Lane => openPortLane(bridgeToPort(lane));

describeLinkContract('A link of data channels', () => {
  const [control, bulk] = [channelLanes(), channelLanes()];
  return underTest(link('webrtc', control[0], bulk[0]), link('webrtc', control[1], bulk[1]));
});

describeLinkContract('A link of data channels bridged over message ports', () => {
  const [control, bulk] = [channelLanes(), channelLanes()];
  return underTest(link('webrtc', bridged(control[0]), bridged(bulk[0])), link('webrtc', bridged(control[1]), bridged(bulk[1])));
});

describeLinkContract('A link of broadcast channels', () => {
  const name = `lanes-test-${opened++}`;
  const end = (side: 'source' | 'target'): Link => link('local', openBroadcastLane(`${name}-control`, side), openBroadcastLane(`${name}-bulk`, side));
  return underTest(end('source'), end('target'));
});

describe('a broadcast lane that is closed before the other end is there', () => {
  it('still hands over what was sent before, and then its end', async () => {
    const name = `lanes-test-${opened++}`;
    const clock = new VirtualClock();
    const source = openBroadcastLane(name, 'source', clock);
    source.send(Uint8Array.of(1));
    source.close();
    const target = openBroadcastLane(name, 'target', clock);
    const heard: number[] = [];
    const ends: string[] = [];
    target.onMessage(([byte = 0]) => heard.push(byte));
    target.onClose((reason) => ends.push(reason));
    await until(() => ends.length > 0);
    expect(heard).toEqual([1]);
    expect(clock.pending).toBe(0);
  });

  it('waits for it for ten seconds', async () => {
    const name = `lanes-test-${opened++}`;
    const clock = new VirtualClock();
    const source = openBroadcastLane(name, 'source', clock);
    source.send(Uint8Array.of(1));
    source.close();
    clock.fireNext();
    const target = openBroadcastLane(name, 'target', clock);
    const heard: Uint8Array[] = [];
    target.onMessage((message) => heard.push(message));
    for (let tasks = 0; tasks < 50; tasks++) await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual([]);
    target.close();
  });
});
