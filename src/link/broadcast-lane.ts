/**
 * A lane between two tabs of one browser, over a BroadcastChannel: no network is involved, so it works on a laptop with
 * no connection at all. Both ends send greetings until each has seen the other; messages sent before that wait. The
 * receiver acknowledges, because a BroadcastChannel has no backpressure of its own.
 */
import type { Lane } from '../migration/ports.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { systemClock } from '../shared/system-clock.ts';
import { LaneCore } from './lane-core.ts';

/** With more unacknowledged bytes than this, sending waits: a few blocks, so that neither tab's memory grows. */
const WINDOW_BYTES = 1024 * 1024;
/** Messages sent before a close still reach an end that opens within this time. */
const CLOSE_LIMIT_MS = 10_000;

type Side = 'source' | 'target';
type LocalMessage = { readonly from: Side } & (
  | { readonly type: 'here'; readonly seen: boolean }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  | { readonly type: 'taken'; readonly bytes: number }
  | { readonly type: 'closed' }
);

export function openBroadcastLane(name: string, side: Side, clock: Clock = systemClock): Lane {
  const channel = new BroadcastChannel(name);
  let open = true;
  // An arriving message may make its receiver close the lane before the message is acknowledged.
  const post = (message: LocalMessage): void => {
    if (open) channel.postMessage(message);
  };
  let peerSeen = false;
  let underWay = 0;
  const beforePeer: Uint8Array[] = [];
  /** This end is closed, but sent messages still wait for the other end. */
  let closing: Disposable | null = null;
  const end = (): void => {
    post({ from: side, type: 'closed' });
    open = false;
    closing?.dispose();
    channel.onmessage = null;
    channel.close();
  };

  const core = new LaneCore({
    send(message) {
      underWay += message.byteLength;
      if (peerSeen) post({ from: side, type: 'data', bytes: message });
      else beforePeer.push(message.slice());
    },
    hasRoom: () => peerSeen && underWay < WINDOW_BYTES,
    close() {
      if (peerSeen || beforePeer.length === 0) end();
      else closing = clock.setTimeout(end, CLOSE_LIMIT_MS);
    },
  });
  channel.onmessage = (event: MessageEvent<LocalMessage>) => {
    const message = event.data;
    if (message.from === side) return;
    switch (message.type) {
      case 'here':
        if (!message.seen) post({ from: side, type: 'here', seen: true });
        peerSeen = true;
        for (const waiting of beforePeer.splice(0)) post({ from: side, type: 'data', bytes: waiting });
        if (closing === null) core.roomAgain();
        else end();
        break;
      case 'data':
        core.received(message.bytes);
        post({ from: side, type: 'taken', bytes: message.bytes.byteLength });
        break;
      case 'taken':
        underWay -= message.bytes;
        core.roomAgain();
        break;
      case 'closed':
        core.closed('The other tab closed the connection, or was closed.');
        break;
    }
  };
  post({ from: side, type: 'here', seen: false });
  return core;
}
