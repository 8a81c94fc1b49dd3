/**
 * A lane whose transport stays on the page: the worker's end speaks to the page's end over a MessagePort, with an
 * acknowledgement for every message that the real lane had room for, so that backpressure reaches the sender.
 */
import type { Lane } from '../migration/ports.ts';
import { LaneCore } from './lane-core.ts';

/** With more bytes than this on their way to the page's lane, sending waits. */
const WINDOW_BYTES = 256 * 1024;

type PortMessage =
  | { readonly type: 'data'; readonly bytes: ArrayBuffer }
  | { readonly type: 'taken'; readonly bytes: number }
  | { readonly type: 'closed'; readonly reason: string };

function post(port: MessagePort, message: PortMessage): void {
  port.postMessage(message, message.type === 'data' ? [message.bytes] : []);
}

/** The worker's end. */
export function openPortLane(port: MessagePort): Lane {
  let underWay = 0;
  const core = new LaneCore({
    send(message) {
      underWay += message.byteLength;
      post(port, { type: 'data', bytes: message.slice().buffer });
    },
    hasRoom: () => underWay < WINDOW_BYTES,
    close() {
      post(port, { type: 'closed', reason: 'The worker closed the connection.' });
      port.onmessage = null;
      // The closing message still goes out: ports deliver what was posted before close().
      port.close();
    },
  });
  port.onmessage = (event: MessageEvent<PortMessage>) => {
    const message = event.data;
    switch (message.type) {
      case 'data':
        core.received(new Uint8Array(message.bytes));
        break;
      case 'taken':
        underWay -= message.bytes;
        core.roomAgain();
        break;
      case 'closed':
        core.closed(message.reason);
        break;
    }
  };
  return core;
}

/** The page's end: joins `lane` to a port whose other end goes to the worker. Returns that other end. */
export function bridgeToPort(lane: Lane): MessagePort {
  const { port1, port2 } = new MessageChannel();
  lane.onMessage((message) => post(port1, { type: 'data', bytes: message.slice().buffer }));
  lane.onClose((reason) => {
    post(port1, { type: 'closed', reason });
    port1.onmessage = null;
    port1.close();
  });
  // A chain, so that messages keep their order while the lane waits for room.
  let sending = Promise.resolve();
  port1.onmessage = (event: MessageEvent<PortMessage>) => {
    const message = event.data;
    if (message.type === 'closed') {
      sending = sending.then(() => lane.close());
    } else if (message.type === 'data') {
      const bytes = new Uint8Array(message.bytes);
      sending = sending
        .then(() => lane.writable())
        .then(() => {
          lane.send(bytes);
          post(port1, { type: 'taken', bytes: bytes.byteLength });
        })
        // A lane that cannot send has told its close listeners why.
        .catch(() => undefined);
    }
  };
  return port2;
}
