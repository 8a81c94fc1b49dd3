/** The attachment of a bug report: all that this tab knows about what happened, without keys and passwords. */
import type { Diagnostics } from './scripting-interface.ts';
import type { TabParts } from './tab-parts.ts';

export async function gatherDiagnostics({ options, access, self, room, views, migrations, log, trace, api }: TabParts): Promise<Diagnostics> {
  const { platform, address } = options;
  const view = views.view();
  const server = await api.trace().catch((error: unknown) => ({ unreachable: error instanceof Error ? error.message : String(error) }));
  return {
    made: new Date(platform.wallMs()).toISOString(),
    browser: platform.name,
    // The part after # has the keys.
    address: `${address.origin}${address.pathname}${address.search}`,
    room: access.room,
    host: { id: self, name: room.hostNameOf(self) },
    trouble: view.trouble,
    links: view.links,
    standby: view.standby,
    hosts: views.publicHosts(),
    vms: views.publicVms(),
    underWay: view.migrations,
    reports: migrations.reports(),
    log: log.view(),
    trace: trace.asItIs(),
    server,
  };
}
