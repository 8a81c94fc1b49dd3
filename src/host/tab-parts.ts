/** The parts of a tab. Nothing happens before tab.ts has it join its room; tab-wiring.ts says what each event then causes. */
import type { FormerHost } from '../net-relay/protocol/relay-protocol.ts';
import type { Clock } from '../shared/clock.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId, RoomName, VmId } from '../shared/ids.ts';
import { isLoopback } from '../shared/loopback.ts';
import { Trace } from '../shared/trace.ts';
import { EndedVms } from './ended-vms.ts';
import { takeFormerSelf } from './former-self.ts';
import { HostLinks } from './host-links.ts';
import type { HostMessage } from './host-messages.ts';
import { hostNameFor } from './host-name.ts';
import { HostReadiness } from './host-readiness.ts';
import { LocalVms } from './local-vms.ts';
import { Migrations } from './migrations.ts';
import { randomId, randomToken } from './random.ts';
import { reportLine } from './report-text.ts';
import { createRoomApi, type RoomApi } from './room-api.ts';
import { RoomAddress } from './room-address.ts';
import { readRoomAccess, type KeyStorage, type RoomAccess } from './room-key.ts';
import { RoomLog } from './room-log.ts';
import { RoomMembership } from './room-membership.ts';
import type { TabMotionEvents } from './scripting-interface.ts';
import type { TabPlatform } from './tab-platform.ts';
import { LOADING, TabStatus } from './tab-status.ts';
import { VmConsoles } from './vm-consoles.ts';
import { vmOwner } from './vm-owner.ts';
import { TabViews } from './tab-views.ts';

export interface TabOptions {
  readonly platform: TabPlatform;
  readonly address: URL;
  /** Root of the server that serves page, guest and relay. */
  readonly base: URL;
  readonly storage: KeyStorage | null;
  /** Storage that survives a reload of this tab, and nothing else. */
  readonly tabMemory: KeyStorage | null;
  readonly spawnVmWorker: () => Worker;
  /** The room's key differs from the one in the address: this address should be shown. */
  readonly showAddress: (address: string) => void;
}

/** The events that scripts can listen to. */
export type TabEvents = { readonly [E in keyof TabMotionEvents]: Emitter<TabMotionEvents[E]> };

const MAX_NAME_CHARACTERS = 40;
/** About a hundred moves. */
const TRACE_ENTRIES = 2000;

export class TabParts {
  readonly options: TabOptions;
  readonly access: RoomAccess;
  readonly self = randomId() as HostId;
  readonly hostToken = randomToken();
  /** The host that this tab was before it was reloaded. */
  readonly former: FormerHost | null;
  readonly clock: Clock;
  readonly status: TabStatus;
  readonly events: TabEvents = {
    hosts: new Emitter(),
    vms: new Emitter(),
    migration: new Emitter(),
    report: new Emitter(),
    ping: new Emitter(),
    traffic: new Emitter(),
  };
  /** The room's hosts or VMs, or their states, have changed. */
  readonly roomChanged = new Emitter<void>();
  readonly log: RoomLog;
  readonly trace: Trace;
  readonly address: RoomAddress;
  readonly api: RoomApi;
  readonly room: RoomMembership;
  readonly consoles: VmConsoles;
  readonly readiness: HostReadiness;
  readonly localVms: LocalVms;
  readonly endedVms: EndedVms;
  readonly links: HostLinks;
  readonly migrations: Migrations;
  readonly views: TabViews;
  private readonly relayUrl: string;

  constructor(options: TabOptions) {
    this.options = options;
    const { address, base, storage, platform } = options;
    this.clock = platform.clock;
    this.access = readRoomAccess(address, storage);
    this.former = takeFormerSelf(this.access.room, { hostId: this.self, hostToken: this.hostToken }, options.tabMemory);
    this.status = new TabStatus(this.clock);
    this.trace = new Trace(this.clock, TRACE_ENTRIES);
    this.log = new RoomLog(() => this.status.changed(), platform.wallMs);
    this.address = new RoomAddress({ access: this.access, address, storage, show: options.showAddress });
    this.api = createRoomApi({ base, room: this.access.room, key: () => this.address.key, ownerSecret: this.address.ownerSecret, fetch: platform.fetch });
    const relayUrl = new URL('relay', base);
    relayUrl.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
    this.relayUrl = relayUrl.href;
    const name = (address.searchParams.get('name') ?? '').trim().slice(0, MAX_NAME_CHARACTERS) || hostNameFor(this.self);
    this.room = new RoomMembership({
      self: this.self,
      clock: this.clock,
      name,
      hostToken: this.hostToken,
      url: `${this.relayUrl}/host`,
      openSocket: platform.openSocket,
    });
    this.consoles = this.makeConsoles();
    this.readiness = new HostReadiness({ self: this.self, sendToHost: this.send, sendToRoom: this.sendToRoom, changed: () => this.roomChanged.emit() });
    this.localVms = this.makeLocalVms();
    this.endedVms = new EndedVms({
      self: this.self,
      log: this.log,
      formerSelf: (this.former?.hostId ?? null) as HostId | null,
      isShownHere: (vmId) => this.localVms.ended.has(vmId),
      now: platform.wallMs,
    });
    this.links = this.makeLinks();
    this.migrations = this.makeMigrations();
    const { self, room, status, localVms, endedVms, links, migrations, readiness, log } = this;
    const secure = address.protocol === 'https:' || isLoopback(address.hostname);
    this.views = new TabViews({
      self,
      roomName: this.access.room,
      secure,
      room,
      address: this.address,
      status,
      localVms,
      endedVms,
      links,
      migrations,
      readiness,
      log,
    });
  }

  /** The lease's holder, as the relay says; null for an unknown VM. */
  private readonly ownerOf = (vmId: VmId): HostId | null => this.room.ownerOf(vmId);

  /** The host that has the VM now (vm-owner.ts). */
  private readonly ownerNow = (vmId: VmId): HostId | null => {
    const here = this.localVms.getOrArriving(vmId);
    return vmOwner({
      self: this.self,
      listed: this.ownerOf(vmId),
      here: here === null ? null : here.state.kind === 'arriving' ? 'arriving' : 'settled',
      movedTo: this.localVms.movedTo.get(vmId) ?? null,
    });
  };

  private readonly send = (hostId: HostId, message: HostMessage): void => this.room.sendToHost(hostId, message);
  private readonly sendToRoom = (message: HostMessage): void => this.room.sendToRoom(message);
  private readonly isExpected = (hostId: HostId): boolean => this.room.isPresent(hostId) || this.room.expectedHostIds().includes(hostId);
  private readonly changed = (): void => this.status.changed();

  private makeConsoles(): VmConsoles {
    const { self, clock, ownerOf, ownerNow, send, sendToRoom, isExpected, changed, log } = this;
    return new VmConsoles({
      self,
      clock,
      ownerOf,
      ownerNow,
      send,
      sendToRoom,
      isExpected,
      changed,
      local: (vmId) => this.localVms.getOrArriving(vmId),
      inputLost: (vmId, characters) =>
        log.add('bad', vmId, `The last ${characters === 1 ? 'character' : `${characters} characters`} typed here did not reach the PC before it ended.`),
    });
  }

  private makeLocalVms(): LocalVms {
    const { self, clock, status, room, log, consoles } = this;
    const { base, platform, spawnVmWorker } = this.options;
    return new LocalVms({
      self,
      clock,
      room,
      log,
      spawn: spawnVmWorker,
      expectsVm: () =>
        room.refusal === null && (status.starting !== null || (platform.hasRoomForStandby && room.vms.some((vm) => vm.hostId !== self && vm.ownerPresent))),
      relay: () => ({ url: this.relayUrl, room: this.access.room as RoomName, key: this.address.key, hostId: self, hostToken: this.hostToken }),
      manifestUrl: new URL('guest/manifest.json', base).href,
      guestLoads: (share) => {
        // Until the tab has joined, that is what people wait for.
        if (status.starting?.text === LOADING) status.isStarting(LOADING, share);
        else status.changed();
      },
      guestLoaded: () => {
        // An earlier load may have failed.
        status.trouble = room.refusal;
        this.readiness.loaded();
      },
      consoles: consoles.output,
      input: consoles.input,
      viewOf: (vmId) => this.views.vms().find((vm) => vm.id === vmId),
      changed: () => this.roomChanged.emit(),
    });
  }

  private makeLinks(): HostLinks {
    const { self, hostToken, clock, access, send } = this;
    const { platform, base } = this.options;
    const direct = access.ok ? platform.openDirectWays(access.room, self, hostToken, base) : { connections: null, presence: null };
    return new HostLinks({
      self,
      clock,
      send,
      ...direct,
      accept: (from, migrationId, vmId, attempt, hand) => {
        const accepted = this.localVms.accept(from, migrationId, vmId, attempt, hand);
        if (accepted === 'open') this.status.moveBegins();
        return accepted;
      },
      abandoned: (from, migrationId) => this.localVms.abandoned(from, migrationId),
    });
  }

  private makeMigrations(): Migrations {
    const { self, clock, links, room, localVms, log, events, ownerOf, ownerNow, send, sendToRoom, isExpected, changed } = this;
    return new Migrations({
      self,
      clock,
      links,
      changed,
      ownerOf,
      ownerNow,
      send,
      sendToRoom,
      isExpected,
      wallMs: this.options.platform.wallMs,
      memoryBytesOf: (vmId) => room.vm(vmId)?.memoryBytes ?? 0,
      vmNameOf: (vmId) => room.vmNameOf(vmId),
      hostNameOf: (hostId) => room.hostNameOf(hostId),
      whenPresent: (hostId) => room.whenPresent(hostId),
      localVm: (vmId) => localVms.get(vmId),
      arrival: (vmId) => {
        const vm = localVms.getOrArriving(vmId);
        return vm?.state.kind === 'arriving' ? vm.whenHere : null;
      },
      started: (vm) => {
        this.status.moveBegins();
        localVms.tellStates();
        log.add('info', vm.vmId, `Moving ${room.vmNameOf(vm.vmId)} to ${vm.departure === null ? 'another host' : room.hostNameOf(vm.departure.order.to)}.`);
        this.roomChanged.emit();
      },
      ended: (migration) => {
        const { level, text } = reportLine(migration);
        log.add(level, migration.report.vmId, text);
        events.report.emit(migration.report);
      },
      recalled: (past) => log.addPast(past.map(reportLine)),
      onProgress: (progress) => events.migration.emit(progress),
    });
  }
}
