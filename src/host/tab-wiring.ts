/** Connects the parts of a tab: for each event of one part, which other parts hear of it, in this order. */
import type { HostMessage } from './host-messages.ts';
import { routeMessage, routeUndeliverable } from './message-routing.ts';
import type { TabParts } from './tab-parts.ts';

/** Messages from other tabs that are too frequent to trace, and each of which says little. */
const FREQUENT_MESSAGES: ReadonlySet<HostMessage['type']> = new Set(['progress', 'console-data', 'console-input', 'console-applied']);

export function wireTab(parts: TabParts): void {
  wireTrace(parts);
  wireVms(parts);
  wireServer(parts);
  wireRoom(parts);
  wireMessages(parts);
}

/** Which of a tab's events are traced, for bug reports (diagnostics.ts). */
function wireTrace({ options, trace, room, localVms }: TabParts): void {
  const { note } = trace;
  localVms.stepped.on(({ vmId, step }) => note(room.vm(vmId)?.name ?? vmId, step));
  room.refused.on((reason) => note('room', `refused: ${reason}`));
  room.lost.on((reason) => note('room', `lost: ${reason}`));
  room.returned.on(() => note('room', 'returned'));
  room.hostLeft.on((hostId) => note(room.hostNameOf(hostId), 'left'));
  room.heard.on(({ from, message }) => {
    if (!FREQUENT_MESSAGES.has(message.type)) note(room.hostNameOf(from), `says ${message.type}`);
  });
  room.misheard.on(({ from, reason }) => note(room.hostNameOf(from), `says what is not understood: ${reason}`));
  room.undeliverable.on(({ to, message }) => note(room.hostNameOf(to), `does not get ${message.type}`));
  if (options.address.searchParams.has('debug')) trace.noted.on(({ at, subject, step }) => console.debug(`TabMotion ${at.toFixed(1)} ${subject}: ${step}`));
}

function wireVms({ localVms, consoles, migrations, links, status }: TabParts): void {
  localVms.arrived.on(({ vmId, from }) => consoles.sizes.arrived(vmId, from));
  localVms.progressed.on((progress) => migrations.progressed(progress));
  localVms.reported.on((report) => migrations.finished(report));
  links.changed.on(() => status.changed());
}

/** The server is away, is back, or no longer lets this tab in. */
function wireServer(parts: TabParts): void {
  const { room, links, migrations, consoles, localVms, log, status, address } = parts;
  room.refused.on((reason) => {
    links.refused(reason);
    migrations.refused(reason);
    localVms.roomChanged();
    status.refused(reason);
  });
  room.lost.on((reason) => {
    links.cutOff();
    migrations.cutOff();
    log.add('bad', null, `The server does not answer; VMs run on without network and it is tried again. (${reason})`);
    status.changed();
  });
  room.returned.on(() => {
    log.add('good', null, 'The server answers again.');
    localVms.tellStates();
    links.returned();
    consoles.returned();
    migrations.returned();
    askWhatWasMissed(parts);
    status.changed();
  });
  room.keyChanged.on((key) => {
    if (key === null)
      log.add('bad', null, "The room's key was changed while this tab was away. Ask the room's owner for its new address: the one here lets nobody in.");
    else if (address.changed(key)) log.add('info', null, 'The room has a new key: whoever comes needs the new invitation.');
    status.changed();
  });
}

function wireRoom({ room, roomChanged, links, migrations, consoles, localVms, readiness, endedVms, events, views, status }: TabParts): void {
  room.hostLeft.on((hostId) => {
    consoles.output.forgetHost(hostId);
    readiness.forgetHost(hostId);
    migrations.forgetHost(hostId);
    localVms.hostLeft(hostId);
  });
  room.listed.on(() => {
    localVms.listed();
    consoles.listed();
  });
  room.changed.on(() => {
    links.meet([...room.hostIds(), ...room.expectedHostIds()]);
    endedVms.take(room.ended, room.hostIds());
    roomChanged.emit();
  });
  roomChanged.on(() => {
    localVms.roomChanged();
    consoles.roomChanged();
    events.hosts.emit(views.publicHosts());
    events.vms.emit(views.publicVms());
    status.changed();
  });
}

function wireMessages(parts: TabParts): void {
  const { room, log, events, status } = parts;
  room.heard.on(({ from, message }) => routeMessage(from, message, parts));
  room.misheard.on(({ from, reason }) =>
    log.add('bad', null, `${room.hostNameOf(from)} sent a message this page does not understand (${reason}). Reload the older tab.`),
  );
  room.undeliverable.on(({ to, message }) => routeUndeliverable(to, message, parts));
  room.pinged.on((sample) => events.ping.emit(sample));
  room.trafficTold.on((news) => {
    for (const one of news) events.traffic.emit(one);
    status.changed();
  });
}

/** What a tab asks when it has just joined, or has not heard the others for a while. */
export function askWhatWasMissed({ room, migrations, readiness }: TabParts): void {
  migrations.askPast(room.hostIds());
  room.sendToRoom({ type: 'details-wanted' });
  readiness.tellRoom();
}
