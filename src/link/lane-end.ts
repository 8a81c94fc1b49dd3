/**
 * The end of a lane as plain data that can be posted to a worker: the page makes it, the VM worker opens it. Each kind
 * has one file that turns it into a Lane.
 */
import type { Lane, Link } from '../migration/ports.ts';
import type { LinkKind } from '../migration/report.ts';
import { openBroadcastLane } from './broadcast-lane.ts';
import { openDataChannelLane } from './data-channel-lane.ts';
import { openPortLane } from './port-lane.ts';

type LaneEnd =
  /** A WebRTC data channel, transferred in the task that created it. */
  | { readonly type: 'data-channel'; readonly channel: RTCDataChannel }
  /** A lane that stays on the page (port-lane.ts), for browsers that cannot transfer data channels. */
  | { readonly type: 'port'; readonly port: MessagePort }
  /** A BroadcastChannel between tabs of one browser; both ends open the same name, with different sides. */
  | { readonly type: 'broadcast'; readonly name: string; readonly side: 'source' | 'target' };

export interface LinkEnds {
  /** The relay's own lanes are opened by its client (net-relay/client/relay-lane.ts). */
  readonly kind: Exclude<LinkKind, 'relay'>;
  readonly control: LaneEnd;
  readonly bulk: LaneEnd;
}

/** What must be transferred, not copied, when these ends are posted to a worker. */
export function transferables(ends: LinkEnds): Transferable[] {
  return [ends.control, ends.bulk].flatMap((end): Transferable[] => {
    switch (end.type) {
      case 'data-channel':
        return [end.channel];
      case 'port':
        return [end.port];
      case 'broadcast':
        return [];
    }
  });
}

function openLane(end: LaneEnd): Lane {
  switch (end.type) {
    case 'data-channel':
      return openDataChannelLane(end.channel);
    case 'port':
      return openPortLane(end.port);
    case 'broadcast':
      return openBroadcastLane(end.name, end.side);
  }
}

/** A link that also tells when everything sent before its close has left this tab. */
export interface OpenedLink extends Link {
  readonly closed: Promise<void>;
}

/** Opens both lanes; closing the link closes them. */
export function openLink(ends: LinkEnds): OpenedLink {
  const control = openLane(ends.control);
  const bulk = openLane(ends.bulk);
  return {
    kind: ends.kind,
    control,
    bulk,
    closed: Promise.all([ends.control, ends.bulk].map(closedEnd)).then(() => undefined),
    close() {
      control.close();
      bulk.close();
    },
  };
}

/** A data channel sends its queue before it closes; the other kinds hand messages over at once. */
function closedEnd(end: LaneEnd): Promise<void> {
  if (end.type !== 'data-channel') return Promise.resolve();
  return new Promise((resolve) => end.channel.addEventListener('close', () => resolve(), { once: true }));
}
