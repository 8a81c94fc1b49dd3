/**
 * A lane between two tabs of one browser, over a BroadcastChannel: no network is involved, so it works on a laptop with
 * no connection at all. Both ends greet until each has seen the other; what is sent before waits. The receiver
 * acknowledges, because a BroadcastChannel has no backpressure of its own.
 */
import type { Lane } from '../migration/ports.ts';
import { LaneCore } from './lane-core.ts';

/** Bytes not yet acknowledged above which sending waits: a few blocks, so that neither tab's memory grows. */
const WINDOW_BYTES = 1024 * 1024;

type Side = 'source' | 'target';
type LocalMessage = { readonly from: Side } & (
  | { readonly type: 'here'; readonly seen: boolean }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  | { readonly type: 'taken'; readonly bytes: number }
  | { readonly type: 'closed' }
);

export function openBroadcastLane(name: string, side: Side): Lane {
  const channel = new BroadcastChannel(name);
  let open = true;
  // A message that arrives may make its receiver close the lane, before it could be acknowledged.
  const post = (message: LocalMessage): void => {
    if (open) channel.postMessage(message);
  };
  let peerSeen = false;
  let underWay = 0;
  const beforePeer: Uint8Array[] = [];

  const core = new LaneCore({
    send(message) {
      underWay += message.byteLength;
      if (peerSeen) post({ from: side, type: 'data', bytes: message });
      else beforePeer.push(message.slice());
    },
    hasRoom: () => peerSeen && underWay < WINDOW_BYTES,
    close() {
      post({ from: side, type: 'closed' });
      open = false;
      channel.onmessage = null;
      channel.close();
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
        core.roomAgain();
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
