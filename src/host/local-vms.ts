/**
 * The VMs whose workers live in this tab, and what each worker event means for them: starting, arriving, moving away,
 * ending. News goes to the room through `RoomPort`, and to the page through `changed` and the log.
 */
import type { MigrationProgress, MigrationReport } from '../migration/report.ts';
import { MAX_ENDING_CHARACTERS, type CreatedVm, type Ending, type LastWord, type VmInfo, type VmState } from '../net-relay/protocol/relay-protocol.ts';
import type { Clock } from '../shared/clock.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId, LeaseEpoch, MacAddress, MigrationId, VmId } from '../shared/ids.ts';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import type { ConsoleInput } from './console-input.ts';
import type { Acceptance, HandOver } from './host-links.ts';
import type { HostMessage, HostMessageOf } from './host-messages.ts';
import { loadOnce } from './load-once.ts';
import { LocalVm, type LocalVmEnd, type LocalVmEvents, type LocalVmState } from './local-vm.ts';
import { randomPassword } from './random.ts';
import type { RemoteConsoles } from './remote-consoles.ts';
import type { RoomLog } from './room-log.ts';
import { Standby } from './standby.ts';
import type { TabMotionVmState, VmView } from './scripting-interface.ts';
import type { RelayAccess, VmIdentity } from '../vm-host/vm-worker-messages.ts';
import { VmEndings } from './vm-endings.ts';
import type { VmDetails } from './vm-views.ts';

/** What the tab's connection to the relay does for its VMs. */
interface RoomPort {
  createVm(options: { name?: string; memoryBytes: number }): Promise<CreatedVm>;
  setVmState(vmId: VmId, epoch: LeaseEpoch, state: VmState): void;
  /** Rejects with an error for which wasRefused() holds if the VM is not this tab's at this epoch. */
  destroyVm(vmId: VmId, epoch: LeaseEpoch, ending: Ending): Promise<void>;
  /** As the relay lists it. */
  vm(vmId: VmId): VmInfo | undefined;
  sendToHost(hostId: HostId, message: HostMessage): void;
  sendToRoom(message: HostMessage): void;
}

export interface LocalVmsOptions {
  readonly self: HostId;
  readonly clock: Clock;
  readonly spawn: () => Worker;
  /** A VM may start or arrive here soon: it is worth keeping a machine ready for it. */
  readonly expectsVm: () => boolean;
  /** The current value: the room's key may change. */
  readonly relay: () => RelayAccess;
  /** Of the guest on the server. */
  readonly manifestUrl: string;
  /** So much of the guest is loaded, 0 to 1. */
  readonly guestLoads: (share: number) => void;
  /** The guest is loaded, for whatever reason: VMs may arrive. Called once. */
  readonly guestLoaded: () => void;
  readonly room: RoomPort;
  readonly log: RoomLog;
  readonly consoles: RemoteConsoles;
  readonly input: ConsoleInput;
  /** The current view of a VM, to keep after it ended. */
  readonly viewOf: (vmId: VmId) => VmView | undefined;
  readonly changed: () => void;
}

export class LocalVms {
  /** Where VMs that ran here went. */
  readonly movedTo = new Map<VmId, HostId>();
  readonly ended = new Map<VmId, VmView>();
  readonly details = new Map<VmId, VmDetails>();
  /** A VM from another host now runs here. */
  readonly arrived = new Emitter<{ readonly vmId: VmId; readonly from: HostId | null }>();
  /** Progress of a migration of a VM of this tab. */
  readonly progressed = new Emitter<MigrationProgress>();
  /** For the trace. */
  readonly stepped = new Emitter<{ readonly vmId: VmId; readonly step: string }>();
  /** Such a migration has ended. */
  readonly reported = new Emitter<MigrationReport>();
  private readonly options: LocalVmsOptions;
  private readonly vms = new Map<VmId, LocalVm>();
  private readonly events: LocalVmEvents;
  private loaded: GuestSet | null = null;
  private readonly endings: VmEndings;
  private readonly standby: Standby;
  private readonly guestLoad;

  constructor(options: LocalVmsOptions) {
    this.options = options;
    this.endings = new VmEndings(options.self, options.room, options.clock);
    this.events = this.makeEvents();
    const { spawn, clock, manifestUrl } = options;
    this.standby = new Standby({ spawn, clock, manifestUrl, wanted: () => this.vms.size === 0 && options.expectsVm() });
    this.guestLoad = loadOnce((onProgress) => this.standby.load(onProgress), options.guestLoads);
  }

  /** The VM, if it runs, starts or migrates from here. */
  get(vmId: VmId): LocalVm | null {
    const vm = this.vms.get(vmId);
    return vm === undefined || vm.state.kind === 'arriving' || vm.state.kind === 'gone' ? null : vm;
  }

  /** The same, and a VM that is on its way here. */
  getOrArriving(vmId: VmId): LocalVm | null {
    const vm = this.vms.get(vmId);
    return vm === undefined || vm.state.kind === 'gone' ? null : vm;
  }

  /** The VM is here in some way, or was when it ended. */
  knows(vmId: VmId): boolean {
    return this.vms.has(vmId) || this.ended.has(vmId) || this.movedTo.has(vmId);
  }

  states(): Map<VmId, TabMotionVmState> {
    const states = new Map<VmId, TabMotionVmState>();
    for (const [vmId, vm] of this.vms) {
      const { kind } = vm.state;
      if (kind === 'starting' || kind === 'migrating') states.set(vmId, kind);
      else if (kind === 'running') states.set(vmId, vm.waitingFor === null ? 'running' : 'paused');
    }
    return states;
  }

  /** `hostId` has left the room; VMs on their way there may have to stay. */
  hostLeft(hostId: HostId): void {
    for (const vm of this.vms.values()) vm.departure?.hostLeft(hostId);
  }

  hasAny(): boolean {
    return this.states().size > 0;
  }

  /** The guest's parts, loaded on first use. Rejects if they cannot be; a later call tries again. */
  async guest(): Promise<GuestSet> {
    const guest = await this.guestLoad.load();
    if (this.loaded === null) {
      this.loaded = guest;
      this.options.guestLoaded();
    }
    return guest;
  }

  /** How much of the guest is loaded, 0 to 1; null if it is not being loaded. */
  get loadedShare(): number | null {
    return this.guestLoad.share();
  }

  /** Starts a new VM here. Resolves once it has its identity; rejects with a sentence. */
  async start(name: string | undefined, memoryBytes: number): Promise<VmId> {
    const guest = await this.guest();
    if (memoryBytes !== guest.manifest.memoryBytes) {
      const mebibytes = guest.manifest.memoryBytes / 1024 / 1024;
      throw new Error(`This server has a base snapshot of a ${mebibytes} MiB machine only. Choose ${mebibytes} MiB.`);
    }
    const created = await this.options.room.createVm({ name, memoryBytes });
    const vmId = created.vmId as VmId;
    const identity: VmIdentity = {
      vmId,
      name: created.name,
      mac: created.mac as MacAddress,
      ip: created.ip,
      netmask: created.netmask,
      gateway: created.gateway,
      password: randomPassword(),
    };
    const epoch = created.epoch as LeaseEpoch;
    this.setDetails(vmId, { password: identity.password, waitingFor: null });
    const vm = this.spawn(vmId, { kind: 'starting', identity, epoch }, guest);
    const whyNot = await vm.whenHere;
    if (whyNot !== null) throw new Error(whyNot);
    return vmId;
  }

  /** This tab is the target of a migration; `attempt` counts its links from 0. Throws a sentence to refuse. */
  accept(from: HostId, migrationId: MigrationId, vmId: VmId, attempt: number, hand: (handOver: HandOver) => void): Acceptance {
    if (attempt > 0) {
      const vm = this.vms.get(vmId);
      const known = vm?.state.kind === 'arriving' && vm.state.migrationId === migrationId && vm.state.from === from;
      if (vm === undefined || !known) throw new Error('This host has given that migration up.');
      hand(vm.nextLink(attempt));
      return 'open';
    }
    if (this.loaded === null) {
      const loaded = this.loadedShare;
      if (loaded === null) throw new Error('That tab could not load the PC. Reload it, and try again.');
      return { loaded };
    }
    const present = this.vms.get(vmId);
    // An earlier attempt that is still ending is removed: the source runs the VM, so it decides.
    if (present?.state.kind === 'arriving' && present.state.from === from) present.remove('The other host begins anew.');
    else if (present !== undefined) throw new Error('This host runs that VM already.');
    const vm = this.spawn(vmId, { kind: 'arriving', migrationId, from }, this.loaded);
    try {
      hand(vm.receive(from, migrationId));
      return 'open';
    } catch (error) {
      vm.remove(sentenceOf(error));
      throw error;
    }
  }

  /** The source has given the migration up before its first link was open at both ends. */
  abandoned(from: HostId, migrationId: MigrationId): void {
    for (const vm of this.vms.values()) {
      const { state } = vm;
      if (state.kind === 'arriving' && state.from === from && state.migrationId === migrationId) vm.remove('The other host has given the migration up.');
    }
  }

  setDetails(vmId: VmId, details: VmDetails): void {
    this.details.set(vmId, details);
    this.options.room.sendToRoom({ type: 'vm-details', vmId, ...details });
    this.options.changed();
  }

  /** Another host sends a VM's details; for VMs that run here, this tab's own details are the right ones. */
  heardDetails({ vmId, password, waitingFor }: HostMessageOf<'vm-details'>): void {
    if (this.get(vmId) === null) this.details.set(vmId, { password, waitingFor });
    this.options.changed();
  }

  /** Another host joined and asks for what only the hosts of the room know. */
  tellDetails(to: HostId): void {
    for (const vmId of this.states().keys()) {
      const details = this.details.get(vmId);
      if (details !== undefined) this.options.room.sendToHost(to, { type: 'vm-details', vmId, ...details });
    }
  }

  /** The relay is back: it may have forgotten the VMs' states. */
  tellStates(): void {
    for (const vm of this.vms.values()) this.tellState(vm);
  }

  /** A machine is ready for the next VM. */
  get hasStandby(): boolean {
    return this.standby.isThere;
  }

  /** The room's hosts or VMs have changed, this tab has started up, or it is no longer in the room. */
  roomChanged(): void {
    this.standby.reconsider();
  }

  /** The relay has sent its list of VMs: forgets what is kept about VMs that are neither on the list nor here. */
  listed(): void {
    this.endings.tellAgain();
    for (const news of [this.movedTo, this.details]) {
      for (const vmId of news.keys()) if (this.options.room.vm(vmId) === undefined && !this.vms.has(vmId)) news.delete(vmId);
    }
  }

  /** The tab goes away and its VMs end: the relay need not wait for them to come back. Returns the endings that the relay has not confirmed. */
  dispose(): LastWord['vms'] {
    this.endings.dispose();
    for (const vm of [...this.vms.values()]) vm.remove('The tab that ran it was closed.');
    this.standby.dispose();
    return this.endings.unconfirmed();
  }

  private tellState(vm: LocalVm): void {
    const { state } = vm;
    if (state.kind === 'arriving' || state.kind === 'gone') return;
    this.options.room.setVmState(vm.vmId, state.epoch, state.kind === 'running' && vm.waitingFor !== null ? 'paused' : state.kind);
  }

  /** Throws, and leaves nothing behind, if no worker can be made. */
  private spawn(vmId: VmId, state: LocalVmState, guest: GuestSet): LocalVm {
    try {
      const vm = new LocalVm(vmId, state, this.standby.take(guest), this.options.relay(), this.events, this.options.clock);
      this.vms.set(vmId, vm);
      if (state.kind === 'arriving') this.endings.isComing(vmId);
      return vm;
    } catch (error) {
      if (state.kind === 'starting') void this.endings.tell(vmId, state.epoch, { how: 'failed', why: sentenceOf(error).slice(0, MAX_ENDING_CHARACTERS) });
      throw error;
    } finally {
      this.options.changed();
    }
  }

  /** What the end of a VM's worker means for tab and room. Resolves with whether another host has the VM now. */
  private async workerEnded(vm: LocalVm, was: LocalVmState, end: LocalVmEnd): Promise<boolean> {
    const { vmId } = vm;
    const view = was.kind === 'arriving' ? null : (this.options.viewOf(vmId) ?? this.unlisted(was));
    if (this.vms.get(vmId) === vm) this.vms.delete(vmId);
    this.standby.reconsider();
    if (end.kind === 'moved') {
      this.movedTo.set(vmId, end.report.to);
      this.options.consoles.follow(vmId);
    } else if (end.kind !== 'removed') {
      this.options.log.add(end.kind === 'guest-ended' && end.orderly ? 'info' : 'bad', vmId, end.reason);
    }
    const over = end.kind !== 'moved' && was.kind !== 'arriving' && was.kind !== 'gone' ? was : null;
    // It may have been committed here a moment before.
    if (was.kind === 'arriving' && end.kind !== 'moved') this.endings.isOverIfHere(vmId, endingOf(end));
    if (over !== null && view !== null && end.kind !== 'removed') this.ended.set(vmId, { ...view, here: true, ended: true, state: 'paused' });
    this.options.changed();
    return over === null || end.kind === 'moved' ? false : this.endings.tell(vmId, over.epoch, endingOf(end));
  }

  /** A view of a VM of this tab, made here because the room has forgotten the VM already. */
  private unlisted(state: LocalVmState): VmView | null {
    if (state.kind === 'arriving' || state.kind === 'gone') return null;
    const {
      identity: { vmId, name, mac, ip, password },
      epoch,
    } = state;
    return {
      id: vmId,
      name,
      mac,
      ip,
      password,
      epoch,
      hostId: this.options.self,
      memoryBytes: this.loaded?.manifest.memoryBytes ?? 0,
      state: 'paused',
      here: true,
      movedAway: false,
      ownerPresent: true,
      forwards: [],
      traffic: null,
      waitingFor: null,
      ended: true,
    };
  }

  private makeEvents(): LocalVmEvents {
    const { options } = this;
    return {
      output: (vm, data) => options.consoles.output(vm.vmId, data),
      inputApplied: (vm, writer, count) => options.input.applied(vm.vmId, writer, count),
      running: (vm) => {
        this.tellState(vm);
        options.changed();
      },
      consoleContinues: (vm, scrollback, printed) => options.consoles.continueHere(vm.vmId, scrollback, printed),
      arrived: (vm, from) => {
        this.movedTo.delete(vm.vmId);
        this.tellState(vm);
        if (vm.state.kind === 'running') this.setDetails(vm.vmId, { password: vm.state.identity.password, waitingFor: null });
        this.arrived.emit({ vmId: vm.vmId, from });
        options.changed();
      },
      progress: (_vm, progress) => this.progressed.emit(progress),
      stayed: (vm, report) => {
        this.tellState(vm);
        this.reported.emit(report);
        options.changed();
      },
      log: (vm, level, text) => options.log.add(level, vm.vmId, text),
      stepped: ({ vmId }, step) => this.stepped.emit({ vmId, step }),
      waiting: (vm, what) => {
        const password = this.details.get(vm.vmId)?.password ?? null;
        this.setDetails(vm.vmId, { password, waitingFor: what });
        if (what !== null) options.log.add('bad', vm.vmId, what);
        this.tellState(vm);
      },
      ended: (vm, was, end) => this.workerEnded(vm, was, end),
      endedMoving: (_vm, report) => this.reported.emit(report),
    };
  }
}

function endingOf(end: Exclude<LocalVmEnd, { kind: 'moved' }>): Ending {
  if (end.kind === 'removed') return { how: 'tab-closed' };
  if (end.kind === 'guest-ended' && end.orderly) return { how: 'powered-off' };
  return { how: 'failed', why: end.reason.slice(0, MAX_ENDING_CHARACTERS) };
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
