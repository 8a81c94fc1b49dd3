/**
 * The tab as a host: joins the room, runs VMs, answers the other hosts, and gives the user interface and
 * `window.tabmotion` what they show. Everything outside (worker, storage, address) comes in through `TabOptions`.
 */
import { LocalPresence } from '../link/local-presence.ts';
import { PeerConnections } from '../link/peer-connections.ts';
import { PeerSignalling } from '../link/peer-signalling.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId, LeaseEpoch, RoomName, VmId } from '../shared/ids.ts';
import { isLoopback } from '../shared/loopback.ts';
import { systemClock } from '../shared/system-clock.ts';
import { EndedVms, takeFormerSelf } from './ended-vms.ts';
import { HostLinks } from './host-links.ts';
import type { HostMessage } from './host-messages.ts';
import { hostNameFor } from './host-name.ts';
import { HostReadiness } from './host-readiness.ts';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import { loadOnce } from './load-once.ts';
import { LocalVms } from './local-vms.ts';
import { routeMessage, routeUndeliverable } from './message-routing.ts';
import { Migrations } from './migrations.ts';
import { randomId, randomToken } from './random.ts';
import { reportLine } from './report-text.ts';
import { createRoomApi } from './room-api.ts';
import { invitation, readRoomAccess, rememberKey, type KeyStorage } from './room-key.ts';
import { RoomLog } from './room-log.ts';
import { RoomMembership } from './room-membership.ts';
import type { Tab, TabMotionEvents, TabMotionHost, TabMotionVm, TabView, VmView } from './scripting-interface.ts';
import { checkArguments } from './scripting-arguments.ts';
import { VmConsoles } from './vm-consoles.ts';
import { vmOwner } from './vm-owner.ts';
import { hostViews, publicVm, vmViews } from './vm-views.ts';

/** The view is told at most this often; a screen shows no more. */
const VIEW_EVERY_MS = 16;
const DEFAULT_MEMORY_MIB = 128;

export interface TabOptions {
  readonly address: URL;
  /** Root of the server that serves page, guest and relay. */
  readonly base: URL;
  readonly storage: KeyStorage | null;
  /** Outlives a reload of this tab, and nothing else. */
  readonly tabMemory: KeyStorage | null;
  readonly spawnVmWorker: () => Worker;
  readonly loadGuest: (onProgress: (fraction: number) => void) => Promise<GuestSet>;
  /** A room's key was made here: the address should show it. */
  readonly showAddress: (address: string) => void;
}

export interface OpenTab extends Tab {
  /** This tab runs VMs that would be lost with it. */
  runsVms(): boolean;
  dispose(): void;
}

export function openTab(options: TabOptions): OpenTab {
  const access = readRoomAccess(options.address, options.storage);
  const self = randomId() as HostId;
  const hostToken = randomToken();
  const name = (options.address.searchParams.get('name') ?? '').trim().slice(0, 40) || hostNameFor(self);

  const events: { [E in keyof TabMotionEvents]: Emitter<TabMotionEvents[E]> } = {
    hosts: new Emitter(), vms: new Emitter(), migration: new Emitter(), report: new Emitter(), ping: new Emitter(), traffic: new Emitter(),
  };
  const viewChanged = new Emitter<void>();
  const clock = systemClock;
  let viewTimer: Disposable | null = null;
  const changed = (): void => {
    viewTimer ??= clock.setTimeout(() => {
      viewTimer = null;
      viewChanged.emit();
    }, VIEW_EVERY_MS);
  };

  const api = createRoomApi({ base: options.base, room: access.room, key: access.ok ? access.key : '' });
  let starting: TabView['starting'] = { text: 'Joining the room', fraction: null };
  let trouble: string | null = null;
  const log = new RoomLog(changed);
  const invitationLink = access.ok ? invitation(options.address, access.room, access.key) : options.address.href;
  /** Where the page is on the server's own computer, only the server knows an address for others. */
  let reach: Pick<TabView, 'invitation' | 'othersCanJoin'> = { invitation: invitationLink, othersCanJoin: !isLoopback(options.address.hostname) };

  const relayUrl = new URL('relay', options.base);
  relayUrl.protocol = options.base.protocol === 'https:' ? 'wss:' : 'ws:';

  let settleReady: { resolve: () => void; reject: (error: Error) => void } = { resolve: () => undefined, reject: () => undefined };
  const ready = new Promise<void>((resolve, reject) => {
    settleReady = { resolve, reject };
  });
  // Nobody has to wait for it.
  ready.catch(() => undefined);

  const guest = loadOnce(options.loadGuest, (fraction) => {
    if (starting !== null) starting = { text: 'Loading the PC', fraction };
    changed();
  });

  const room = new RoomMembership({ self, clock, name, hostToken, url: `${relayUrl.href}/host` });
  const ownerOf = (vmId: VmId): HostId | null => room.ownerOf(vmId);
  const sendToHost = (hostId: HostId, message: HostMessage): void => room.sendToHost(hostId, message);

  const ownerNow = (vmId: VmId): HostId | null => {
    const here = localVms.getOrArriving(vmId);
    return vmOwner({
      self,
      listed: ownerOf(vmId),
      here: here === null ? null : here.state.kind === 'arriving' ? 'arriving' : 'settled',
      movedTo: localVms.movedTo.get(vmId) ?? null,
    });
  };
  const isExpected = (hostId: HostId): boolean => room.isPresent(hostId) || room.expectedHostIds().includes(hostId);
  const consoles = new VmConsoles({
    self, clock, ownerOf, ownerNow, changed,
    send: sendToHost,
    sendToRoom: (message) => room.sendToRoom(message),
    isExpected,
    local: (vmId) => localVms.getOrArriving(vmId),
    inputLost: (vmId, characters) => log.add('bad', vmId, `The last ${characters === 1 ? 'character' : `${characters} characters`} typed here did not reach the PC before it ended.`),
  });
  const readiness = new HostReadiness({ self, sendToHost, sendToRoom: (message) => room.sendToRoom(message), changed: () => roomChanged() });
  const localVms: LocalVms = new LocalVms({
    self, clock,
    spawn: options.spawnVmWorker,
    relay: { url: relayUrl.href, room: access.room as RoomName, key: access.ok ? access.key : '', hostId: self, hostToken },
    loadGuest: guest.load,
    guestLoaded: () => {
      // An earlier load may have failed.
      trouble = room.refusal;
      readiness.loaded();
    },
    loadedShare: guest.share,
    room, log,
    consoles: consoles.output,
    input: consoles.input,
    viewOf: (vmId) => views().find((vm) => vm.id === vmId),
    changed: () => roomChanged(),
  });

  const endedVms = new EndedVms({
    self, log,
    formerSelf: takeFormerSelf(access.room, self, options.tabMemory),
    isShownHere: (vmId) => localVms.ended.has(vmId),
    now: () => Date.now(),
  });
  const dismissEnded = async (vmIds: readonly string[]): Promise<void> => {
    if (vmIds.length === 0) return;
    await room.dismissEnded(vmIds);
    endedVms.hide(vmIds);
    changed();
  };

  let connections: PeerConnections | null = null;
  if (access.ok && typeof RTCPeerConnection === 'function') {
    connections = new PeerConnections(self, new PeerSignalling(self, hostToken, {
      host: options.base.hostname,
      port: Number(options.base.port === '' ? (options.base.protocol === 'https:' ? 443 : 80) : options.base.port),
      path: new URL('peerjs', options.base).pathname,
      secure: options.base.protocol === 'https:',
    }, clock), clock);
  }
  const presence = access.ok && typeof BroadcastChannel === 'function' ? new LocalPresence(access.room, self) : null;
  const links = new HostLinks({
    self, clock, connections, presence, send: sendToHost,
    accept: (from, migrationId, vmId, attempt, hand) => localVms.accept(from, migrationId, vmId, attempt, hand),
    abandoned: (from, migrationId) => localVms.abandoned(from, migrationId),
  });
  links.changed.on(changed);

  const migrations: Migrations = new Migrations({
    self, clock, links, changed, ownerOf, ownerNow,
    send: sendToHost,
    sendToRoom: (message) => room.sendToRoom(message),
    memoryBytesOf: (vmId) => room.vm(vmId)?.memoryBytes ?? 0,
    vmNameOf: (vmId) => room.vmNameOf(vmId),
    hostNameOf: (hostId) => room.hostNameOf(hostId),
    isExpected,
    whenPresent: (hostId) => room.whenPresent(hostId),
    localVm: (vmId) => localVms.get(vmId),
    arrival: (vmId) => {
      const vm = localVms.getOrArriving(vmId);
      return vm?.state.kind === 'arriving' ? vm.whenHere : null;
    },
    started: (vm) => {
      localVms.tellStates();
      log.add('info', vm.vmId, `Moving ${room.vmNameOf(vm.vmId)} to ${vm.departure === null ? 'another host' : room.hostNameOf(vm.departure.order.to)}.`);
      roomChanged();
    },
    ended: (migration) => {
      const { level, text } = reportLine(migration);
      log.add(level, migration.report.vmId, text);
      events.report.emit(migration.report);
    },
    recalled: (past) => log.addPast(past.map(reportLine)),
    onProgress: (progress) => events.migration.emit(progress),
  });

  localVms.arrived.on(({ vmId, from }) => consoles.sizes.arrived(vmId, from));
  localVms.progressed.on((progress) => migrations.progressed(progress));
  localVms.reported.on((report) => migrations.finished(report));

  room.refused.on((reason) => {
    trouble = reason;
    starting = null;
    links.refused(reason);
    migrations.refused(reason);
    settleReady.reject(new Error(reason));
    changed();
  });
  room.lost.on((reason) => {
    links.cutOff();
    migrations.cutOff();
    log.add('bad', null, `The server does not answer; VMs run on without network and it is tried again. (${reason})`);
    changed();
  });
  room.returned.on(() => {
    log.add('good', null, 'The server answers again.');
    localVms.tellStates();
    links.returned();
    consoles.returned();
    migrations.returned();
    askWhatWasMissed();
    changed();
  });
  room.hostLeft.on((hostId) => {
    consoles.output.forgetHost(hostId);
    readiness.forgetHost(hostId);
    migrations.forgetHost(hostId);
  });
  room.listed.on(() => {
    localVms.listed();
    consoles.listed();
  });
  room.changed.on(() => {
    links.meet([...room.hostIds(), ...room.expectedHostIds()]);
    endedVms.take(room.ended, room.hostIds());
    roomChanged();
  });
  const parts = { links, migrations, consoles, readiness, localVms };
  room.heard.on(({ from, message }) => routeMessage(from, message, parts));
  room.misheard.on(({ from, reason }) => log.add('bad', null, `${room.hostNameOf(from)} sent a message this page does not understand (${reason}). Reload the older tab.`));
  room.undeliverable.on(({ to, message }) => routeUndeliverable(to, message, parts));
  room.pinged.on((sample) => events.ping.emit(sample));
  room.trafficTold.on((news) => {
    for (const one of news) events.traffic.emit(one);
    changed();
  });

  if (access.ok) {
    const { room: roomName, key, made, openCode } = access;
    room.joined.on(() => {
      rememberKey(roomName, key, options.storage, openCode);
      if (made || openCode !== undefined) options.showAddress(invitationLink);
      settleReady.resolve();
      askWhatWasMissed();
      void learnReach(roomName, key);
      void begin(room.hosts.length === 1 && !room.vms.some((vm) => vm.ownerPresent));
    });
    room.join(roomName as RoomName, key, openCode);
  } else {
    room.refuse(access.reason);
  }

  /** What cannot be learned stays as it is: then the page says how to invite others. */
  async function learnReach(roomName: string, key: string): Promise<void> {
    if (!isLoopback(options.address.hostname)) return;
    const [outside] = await api.addresses().catch(() => []);
    if (outside === undefined) return;
    reach = { invitation: invitation(new URL(options.address.pathname, outside), roomName, key), othersCanJoin: true };
    changed();
  }

  function askWhatWasMissed(): void {
    migrations.askPast(room.hostIds());
    room.sendToRoom({ type: 'details-wanted' });
    readiness.tellRoom();
  }

  /** Loads the guest; in a room where nobody else is and nothing runs, starts a VM. */
  async function begin(emptyRoom: boolean): Promise<void> {
    try {
      starting = { text: 'Loading the PC', fraction: 0 };
      await localVms.guest();
      if (emptyRoom && options.address.searchParams.get('autostart') !== '0') {
        starting = { text: 'Starting the PC', fraction: null };
        changed();
        await localVms.start(undefined, DEFAULT_MEMORY_MIB * 1024 * 1024);
      }
    } catch (error) {
      log.add('bad', null, error instanceof Error ? error.message : String(error));
      if (!localVms.hasAny()) trouble = error instanceof Error ? error.message : String(error);
    }
    starting = null;
    changed();
  }

  function views(): VmView[] {
    return vmViews(room.vms, { self, here: localVms.states(), movedTo: localVms.movedTo, ended: localVms.ended, details: localVms.details, traffic: room.traffic });
  }

  const publicVms = (): TabMotionVm[] => views().filter((vm) => !vm.ended).map(publicVm);
  const publicHosts = (): TabMotionHost[] => hostViews(room.hosts, publicVms(), self, (hostId) => readiness.isReady(hostId));

  function roomChanged(): void {
    consoles.roomChanged();
    events.hosts.emit(publicHosts());
    events.vms.emit(publicVms());
    changed();
  }

  const tab: OpenTab = {
    ready,
    room: access.room,
    get host() {
      // The room may have put a number behind it.
      return { id: self, name: room.hostNameOf(self) };
    },
    hosts: publicHosts,
    vms: publicVms,
    async start(wanted = {}) {
      const vmId = await localVms.start(wanted.name, (wanted.memoryMiB ?? DEFAULT_MEMORY_MIB) * 1024 * 1024);
      const vm = publicVms().find((candidate) => candidate.id === vmId);
      if (vm === undefined) throw new Error('The VM started, but the server does not list it.');
      // Who starts a new one knows that the old one is gone.
      void dismissEnded(endedVms.ownIds()).catch(() => undefined);
      return vm;
    },
    migrate: (vmId, hostId, wanted = {}) => migrations.migrate(vmId as VmId, hostId as HostId, wanted),
    cancel: (vmId) => migrations.cancel(vmId as VmId),
    console: (vmId) => consoles.open(vmId as VmId),
    forwards: (vmId) => [...(room.vm(vmId)?.forwards ?? [])],
    addForward: (vmId, guestPort, hostPort = 0) => api.addForward(vmId, guestPort, hostPort),
    removeForward: (hostPort) => api.removeForward(hostPort),
    capture: { state: () => api.captureState(), start: () => api.startCapture(), download: () => api.captured(), stop: () => api.stopCapture() },
    on(event, callback) {
      // One event name gives one emitter, which TypeScript cannot follow through the index.
      const listening = (events[event] as unknown as Emitter<Parameters<typeof callback>[0]>).on(callback);
      return () => listening.dispose();
    },
    view: () => ({
      room: access.room,
      ...reach,
      address: invitationLink,
      secure: options.address.protocol === 'https:' || isLoopback(options.address.hostname),
      starting, trouble,
      hosts: publicHosts(),
      vms: views(),
      endedVms: endedVms.views(),
      migrations: migrations.underWay(),
      reports: migrations.reports(),
      log: log.view(),
      links: Object.fromEntries(room.hostIds().filter((hostId) => hostId !== self).map((hostId) => [hostId, links.kindFor(hostId)])),
    }),
    onView(callback) {
      const listening = viewChanged.on(callback);
      return () => listening.dispose();
    },
    attachScreen: (vmId, canvas) => localVms.get(vmId as VmId)?.attachScreen(canvas),
    sendScancodes: (vmId, codes) => localVms.get(vmId as VmId)?.sendScancodes(codes),
    sendMouse: (vmId, dx, dy, buttons) => localVms.get(vmId as VmId)?.sendMouse(dx, dy, buttons),
    async forget(vmId, epoch) {
      const vmName = room.vmNameOf(vmId);
      await room.forgetVm(vmId as VmId, epoch as LeaseEpoch);
      log.add('info', vmId as VmId, `${vmName} was forgotten.`);
    },
    dismiss(vmId) {
      if (localVms.ended.delete(vmId as VmId)) {
        endedVms.hide([vmId]);
        void room.dismissEnded([vmId]).catch(() => undefined);
      }
      localVms.movedTo.delete(vmId as VmId);
      changed();
    },
    dismissEnded,
    runsVms: () => localVms.hasAny(),
    dispose() {
      viewTimer?.dispose();
      consoles.input.dispose();
      const vms = localVms.dispose();
      // The room's socket tells the same; but Firefox closes it before a page hears that it goes.
      if (vms.length > 0) api.lastWord({ hostId: self, hostToken, vms });
      links.dispose();
      migrations.dispose();
      room.dispose();
    },
  };
  return checkArguments(tab, {
    refusal: () => room.refusal,
    hasVm: (vmId) => room.vm(vmId) !== undefined || localVms.knows(vmId as VmId) || consoles.output.has(vmId as VmId),
    runsVm: (vmId) => room.vm(vmId) !== undefined || localVms.getOrArriving(vmId as VmId) !== null,
    isVmName: (name) => room.vms.some((vm) => vm.name === name),
  });
}
