/**
 * The tab as a host: joins the room, runs VMs, answers the other hosts, and gives the user interface and
 * `window.tabmotion` what they show. Everything outside (worker, storage, address) comes in through `TabOptions`.
 */
import { DisposableBag } from '../shared/disposable.ts';
import type { Emitter } from '../shared/emitter.ts';
import type { HostId, LeaseEpoch, RoomName, VmId } from '../shared/ids.ts';
import { gatherDiagnostics } from './diagnostics.ts';
import { leaveFormerSelf } from './former-self.ts';
import type { Tab, TabMotion, TabMotionVm } from './scripting-interface.ts';
import { checkArguments } from './scripting-arguments.ts';
import { LOADING } from './tab-status.ts';
import { TabParts, type TabOptions } from './tab-parts.ts';
import { askWhatWasMissed, wireTab } from './tab-wiring.ts';

const DEFAULT_MEMORY_MIB = 128;
const MIB = 1024 * 1024;

export interface OpenTab extends Tab {
  /** This tab runs VMs that would be lost if it closed. */
  runsVms(): boolean;
  dispose(): void;
}

export function openTab(options: TabOptions): OpenTab {
  const parts = new TabParts(options);
  wireTab(parts);
  join(parts);
  const { room, localVms, consoles } = parts;
  const tab: OpenTab = {
    ...scriptVerbs(parts),
    ...pageVerbs(parts),
    get host() {
      // The room may have added a number to the name.
      return { id: parts.self, name: room.hostNameOf(parts.self) };
    },
    runsVms: () => localVms.hasAny(),
    dispose: () => leave(parts),
  };
  return checkArguments(tab, {
    refusal: () => room.refusal,
    hasVm: (vmId) => room.vm(vmId) !== undefined || localVms.knows(vmId as VmId) || consoles.output.has(vmId as VmId),
    runsVm: (vmId) => room.vm(vmId) !== undefined || localVms.getOrArriving(vmId as VmId) !== null,
    isVmName: (name) => room.vms.some((vm) => vm.name === name),
  });
}

function join(parts: TabParts): void {
  const { access, room, address, api, status, trace, former } = parts;
  if (!access.ok) {
    room.refuse(access.reason);
    return;
  }
  // Before the tab has joined: most of the start is spent on this. If it fails, begin() says why.
  parts.localVms.guest().catch(() => undefined);
  room.joined.on(() => {
    trace.note('room', 'joined');
    address.accepted(room.isOwner);
    status.joined();
    askWhatWasMissed(parts);
    void address.learnOutside(api).then((isNews) => {
      if (isNews) status.changed();
    });
    // VMs that this tab ran before its reload may still be listed. If its old page is still in the room, this tab is a copy of that one.
    const others = room.vms.filter(({ hostId }) => hostId !== former?.hostId || room.isPresent(hostId as HostId));
    void begin(parts, room.hosts.length === 1 && !others.some((vm) => vm.ownerPresent));
  });
  room.join(access.room as RoomName, access.key, { openCode: access.openCode, ownerSecret: address.ownerSecret, former: former ?? undefined });
}

/** Loads the guest; starts a VM if nobody else is in the room and nothing runs there. */
async function begin({ status, localVms, log, options }: TabParts, emptyRoom: boolean): Promise<void> {
  try {
    status.isStarting(LOADING, localVms.loadedShare ?? 0);
    await localVms.guest();
    if (emptyRoom && options.address.searchParams.get('autostart') !== '0') {
      status.isStarting('Starting the PC', null);
      await localVms.start(undefined, DEFAULT_MEMORY_MIB * MIB);
    }
    status.hasStarted();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    log.add('bad', null, why);
    status.hasStarted(localVms.hasAny() ? null : why);
  }
  localVms.roomChanged();
}

/** What `window.tabmotion` promises. */
function scriptVerbs(parts: TabParts): Omit<TabMotion, 'host' | 'console'> {
  const { access, status, room, localVms, migrations, api, events, views, endedVms } = parts;
  return {
    ready: status.ready,
    room: access.room,
    hosts: () => views.publicHosts(),
    vms: () => views.publicVms(),
    async start(wanted = {}) {
      const vmId = await localVms.start(wanted.name, (wanted.memoryMiB ?? DEFAULT_MEMORY_MIB) * MIB);
      const vm = await whenListed(parts, vmId);
      // A person who starts a new VM knows that the old one is gone.
      void dismissEnded(parts, endedVms.ownIds()).catch(() => undefined);
      return vm;
    },
    migrate: (vmId, hostId, wanted = {}) => migrations.migrate(vmId as VmId, hostId as HostId, wanted),
    cancel: (vmId) => migrations.cancel(vmId as VmId),
    forwards: (vmId) => [...(room.vm(vmId)?.forwards ?? [])],
    addForward: (vmId, guestPort, hostPort = 0) => api.addForward(vmId, guestPort, hostPort),
    removeForward: (hostPort) => api.removeForward(hostPort),
    capture: { state: () => api.captureState(), start: () => api.startCapture(), download: () => api.captured(), stop: () => api.stopCapture() },
    diagnostics: () => gatherDiagnostics(parts),
    on(event, callback) {
      // One event name gives one emitter, which TypeScript cannot follow through the index.
      const listening = (events[event] as unknown as Emitter<Parameters<typeof callback>[0]>).on(callback);
      return () => listening.dispose();
    },
  };
}

/** What the page needs in addition. */
function pageVerbs(parts: TabParts): Omit<Tab, Exclude<keyof TabMotion, 'console'>> {
  const { room, localVms, consoles, api, views, status, endedVms, log } = parts;
  return {
    console: (vmId) => consoles.open(vmId as VmId),
    view: () => views.view(),
    onView(callback) {
      const listening = status.viewChanged.on(callback);
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
      status.changed();
    },
    dismissEnded: (vmIds) => dismissEnded(parts, vmIds),
    async changeKey() {
      room.keyChanged.emit(await api.changeKey());
    },
    async removeHost(hostId) {
      const hostName = room.hostNameOf(hostId);
      room.keyChanged.emit(await api.removeHost(hostId));
      log.add('info', null, `${hostName} was removed from the room.`);
    },
    async closeRoom() {
      const key = await api.closeRoom();
      if (key !== null) room.keyChanged.emit(key);
    },
  };
}

/** The VM as the room lists it. It may run before the list that names it has come. Rejects with a sentence. */
function whenListed({ roomChanged, room, localVms, views }: TabParts, vmId: VmId): Promise<TabMotionVm> {
  return new Promise((resolve, reject) => {
    const bag = new DisposableBag();
    const settle = (action: () => void): void => {
      bag.dispose();
      action();
    };
    const look = (): void => {
      const vm = views.publicVms().find((candidate) => candidate.id === vmId);
      if (vm !== undefined) settle(() => resolve(vm));
      else if (localVms.getOrArriving(vmId) === null) settle(() => reject(new Error('The VM started, and has ended since.')));
    };
    bag.add(roomChanged.on(look));
    bag.add(room.refused.on((reason) => settle(() => reject(new Error(reason)))));
    look();
  });
}

async function dismissEnded({ room, endedVms, status }: TabParts, vmIds: readonly string[]): Promise<void> {
  if (vmIds.length === 0) return;
  await room.dismissEnded(vmIds);
  endedVms.hide(vmIds);
  status.changed();
}

function leave({ options, access, status, consoles, localVms, api, self, hostToken, links, migrations, room }: TabParts): void {
  leaveFormerSelf(access.room, { hostId: self, hostToken }, options.tabMemory);
  status.dispose();
  consoles.input.dispose();
  const vms = localVms.dispose();
  // The room's socket carries the same news, but Firefox closes it before a page hears that it is going away.
  if (vms.length > 0) api.lastWord({ hostId: self, hostToken, vms });
  links.dispose();
  migrations.dispose();
  room.dispose();
}
