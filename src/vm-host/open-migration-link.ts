/** Opens the link of a migration in the VM's worker, whichever of the kinds its host chose. */
import { openLink, type OpenedLink } from '../link/lane-end.ts';
import { openRelayLink } from '../net-relay/client/relay-lane.ts';
import type { HostId, MigrationId } from '../shared/ids.ts';
import { linkIdOf } from '../link/link-id.ts';
import type { WorkerContext } from './worker-context.ts';
import type { MigrationEnds } from './vm-worker-messages.ts';

export interface LinkUse {
  readonly migrationId: MigrationId;
  /** 0 for a migration's first link. */
  readonly attempt: number;
  readonly side: 'source' | 'target';
  readonly peer: HostId;
}

export function openMigrationLink(
  ends: MigrationEnds,
  { relay, openSocket, clock }: Pick<WorkerContext, 'relay' | 'openSocket' | 'clock'>,
  use: LinkUse,
): OpenedLink {
  if (ends.kind !== 'relay') return openLink(ends);
  const { url, ...credentials } = relay;
  const link = openRelayLink({
    url: `${url}/lane`,
    credentials,
    linkId: linkIdOf(use.migrationId, use.attempt),
    side: use.side,
    peerHostId: use.peer,
    openSocket,
    clock,
  });
  // A relayed lane reports its end only after everything sent has gone out.
  const closed = Promise.all([link.control, link.bulk].map((lane) => new Promise((resolve) => lane.onClose(resolve))));
  return { ...link, closed: closed.then(() => undefined) };
}
