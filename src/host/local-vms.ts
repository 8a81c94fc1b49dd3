/**
 * The VMs whose workers live in this tab, and what each worker event means for them: starting, arriving, moving away,
 * ending. The room is told through `RoomPort`; the page hears through `changed` and the log.
 */
import type { LinkKind, MigrationReport } from '../migration/report.ts';
import { MAX_ENDING_CHARACTERS, type CreatedVm, type Ending, type VmState } from '../net-relay/relay-protocol.ts';
import type { HostId, LeaseEpoch, MacAddress, MigrationId, VmId } from '../shared/ids.ts';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import type { ConsoleInput } from './console-input.ts';
import type { HandOver } from './host-links.ts';
import type { HostMessage } from './host-messages.ts';
import { LocalVm, type LocalVmEvents } from './local-vm.ts';
import type { Migrations } from './migrations.ts';
import { randomPassword } from './random.ts';
import type { RemoteConsoles } from './remote-consoles.ts';
import type { RoomLog } from './room-log.ts';
import type { TabMotionVmState, VmView } from './scripting-interface.ts';
import type { RelayAccess, VmIdentity } from './vm-worker-messages.ts';
import type { VmDetails } from './vm-views.ts';

/** What the tab's connection to the relay does for its VMs. */
export interface RoomPort {
  createVm(options: { name?: string; memoryBytes: number }): Promise<CreatedVm>;
  setVmState(vmId: VmId, epoch: LeaseEpoch, state: VmState): void;
  destroyVm(vmId: VmId, epoch: LeaseEpoch, ending: Ending): Promise<void>;
  sendToHost(hostId: HostId, message: HostMessage): void;
  sendToRoom(message: HostMessage): void;
}

export interface LocalVmsOptions {
  readonly self: HostId;
  readonly spawn: () => Worker;
  readonly relay: RelayAccess;
  /** The guest's parts; loaded once, awaited by the first VM. */
  readonly guest: () => Promise<GuestSet>;
  readonly room: RoomPort;
  readonly log: RoomLog;
  readonly consoles: RemoteConsoles;
  readonly input: ConsoleInput;
  readonly migrations: () => Migrations;
  /** The view of a VM as it stands, to keep after it ended. */
  readonly viewOf: (vmId: VmId) => VmView | undefined;
  readonly changed: () => void;
}

export class LocalVms {
  /** Where VMs that ran here went. */
  readonly movedTo = new Map<VmId, HostId>();
  readonly ended = new Map<VmId, VmView>();
  readonly details = new Map<VmId, VmDetails>();
  private readonly options: LocalVmsOptions;
  private readonly vms = new Map<VmId, LocalVm>();
  private readonly events: LocalVmEvents;
  private readonly startWaiters = new Map<VmId, { resolve: () => void; reject: (error: Error) => void }>();
  private loaded: GuestSet | null = null;

  constructor(options: LocalVmsOptions) {
    this.options = options;
    this.events = this.makeEvents();
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

  states(): Map<VmId, TabMotionVmState> {
    const states = new Map<VmId, TabMotionVmState>();
    for (const [vmId, vm] of this.vms) {
      const { kind } = vm.state;
      if (kind === 'starting' || kind === 'migrating') states.set(vmId, kind);
      else if (kind === 'running') states.set(vmId, vm.waitingFor === null ? 'running' : 'paused');
    }
    return states;
  }

  hasAny(): boolean {
    return this.states().size > 0;
  }

  /** The guest's parts are here: VMs may arrive. */
  setGuest(guest: GuestSet): void {
    this.loaded = guest;
  }

  /** Starts a new VM here. Resolves once it has its identity; rejects with a sentence. */
  async start(name: string | undefined, memoryBytes: number): Promise<VmId> {
    const guest = await this.options.guest();
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
    return new Promise((resolve, reject) => {
      this.startWaiters.set(vmId, { resolve: () => resolve(vmId), reject });
      this.vms.set(vmId, new LocalVm(vmId, { kind: 'starting', identity, epoch }, this.options.spawn, { type: 'prepare', guest, relay: this.options.relay }, this.events));
      this.options.changed();
    });
  }

  /** This tab is the target of a migration; `attempt` counts its links from 0. Throws a sentence to refuse. */
  accept(from: HostId, migrationId: MigrationId, vmId: VmId, attempt: number, hand: (handOver: HandOver) => void): void {
    if (attempt > 0) {
      const vm = this.vms.get(vmId);
      const known = vm?.state.kind === 'arriving' && vm.state.migrationId === migrationId && vm.state.from === from;
      if (vm === undefined || !known) throw new Error('This host has given that migration up.');
      hand(vm.nextLink(attempt));
      return;
    }
    if (this.loaded === null) throw new Error('This tab is still loading the guest. Try again in a moment.');
    const present = this.vms.get(vmId);
    // An earlier attempt that is still dying makes way: the source decides, and it runs the VM.
    if (present?.state.kind === 'arriving' && present.state.from === from) this.remove(present);
    else if (present !== undefined) throw new Error('This host runs that VM already.');
    const vm = new LocalVm(vmId, { kind: 'arriving', migrationId, from }, this.options.spawn, { type: 'prepare', guest: this.loaded, relay: this.options.relay }, this.events);
    this.vms.set(vmId, vm);
    try {
      hand(vm.receive(from, migrationId));
    } catch (error) {
      this.remove(vm);
      throw error;
    }
  }

  setDetails(vmId: VmId, details: VmDetails): void {
    this.details.set(vmId, details);
    this.options.room.sendToRoom({ type: 'vm-details', vmId, ...details });
    this.options.changed();
  }

  /** Another host joined and wants to know what only the room knows. */
  tellDetails(to: HostId): void {
    for (const vmId of this.states().keys()) {
      const details = this.details.get(vmId);
      if (details !== undefined) this.options.room.sendToHost(to, { type: 'vm-details', vmId, ...details });
    }
  }

  /** The relay came back: it may have forgotten what the VMs do. */
  tellStates(): void {
    for (const vm of this.vms.values()) this.tellState(vm);
  }

  /** The tab goes, and its VMs with it: the relay need not wait for them to come back. */
  dispose(): void {
    for (const vm of [...this.vms.values()]) {
      const { state } = vm;
      if (state.kind !== 'arriving' && state.kind !== 'gone') void this.options.room.destroyVm(vm.vmId, state.epoch, { how: 'tab-closed' }).catch(() => undefined);
      this.remove(vm);
    }
  }

  private tellState(vm: LocalVm): void {
    const { state } = vm;
    if (state.kind === 'arriving' || state.kind === 'gone') return;
    this.options.room.setVmState(vm.vmId, state.epoch, state.kind === 'running' && vm.waitingFor !== null ? 'paused' : state.kind);
  }

  private remove(vm: LocalVm): void {
    if (this.vms.get(vm.vmId) === vm) this.vms.delete(vm.vmId);
    vm.dispose();
    this.options.changed();
  }

  /** The VM is over: keep what the page showed, tell the relay. */
  private end(vm: LocalVm, level: 'info' | 'bad', reason: string): void {
    const view = this.options.viewOf(vm.vmId) ?? this.unlisted(vm);
    const { state } = vm;
    if (view !== null) this.ended.set(vm.vmId, { ...view, here: true, ended: true, state: 'paused' });
    this.options.log.add(level, vm.vmId, reason);
    this.startWaiters.get(vm.vmId)?.reject(new Error(reason));
    this.startWaiters.delete(vm.vmId);
    if (state.kind === 'starting' || state.kind === 'running' || state.kind === 'migrating') {
      // The relay may be away; then it learns when the tab closes.
      const ending: Ending = level === 'info' ? { how: 'powered-off' } : { how: 'failed', why: reason.slice(0, MAX_ENDING_CHARACTERS) };
      void this.options.room.destroyVm(vm.vmId, state.epoch, ending).catch(() => undefined);
    }
    this.remove(vm);
  }

  /** The view of a VM of this tab that the room has forgotten already. */
  private unlisted(vm: LocalVm): VmView | null {
    if (vm.state.kind === 'arriving' || vm.state.kind === 'gone') return null;
    const { identity: { vmId, name, mac, ip, password }, epoch } = vm.state;
    return {
      id: vmId, name, mac, ip, password, epoch, hostId: this.options.self, memoryBytes: this.loaded?.manifest.memoryBytes ?? 0,
      state: 'paused', here: true, movedAway: false, ownerPresent: true, forwards: [], traffic: null, waitingFor: null, ended: true,
    };
  }

  private migrated(vm: LocalVm, report: MigrationReport, unsentInput: string): void {
    if (report.outcome === 'completed') {
      this.movedTo.set(vm.vmId, report.to);
      this.remove(vm);
      this.options.input.sendOn(vm.vmId, report.to, unsentInput);
      this.options.consoles.follow(vm.vmId);
    } else {
      this.tellState(vm);
    }
    this.options.migrations().finished(report);
    this.options.changed();
  }

  private makeEvents(): LocalVmEvents {
    const { options } = this;
    return {
      output: (vm, data) => options.consoles.output(vm.vmId, data),
      running: (vm) => {
        this.tellState(vm);
        this.startWaiters.get(vm.vmId)?.resolve();
        this.startWaiters.delete(vm.vmId);
        options.changed();
      },
      consoleContinues: (vm, scrollback, printed) => options.consoles.continueHere(vm.vmId, scrollback, printed),
      arrived: (vm) => {
        this.movedTo.delete(vm.vmId);
        this.tellState(vm);
        if (vm.state.kind === 'running') this.setDetails(vm.vmId, { password: vm.state.identity.password, waitingFor: null });
        options.changed();
      },
      notArrived: (vm, reason, unsentInput) => {
        const from = vm.state.kind === 'arriving' ? vm.state.from : null;
        options.log.add('bad', vm.vmId, reason);
        this.remove(vm);
        if (from !== null) options.input.sendOn(vm.vmId, from, unsentInput);
      },
      progress: (_vm, progress) => options.migrations().progressed(progress),
      migrated: (vm, report, unsentInput) => this.migrated(vm, report, unsentInput),
      linkWanted: (vm, attempt, avoid) => options.migrations().reconnect(vm, attempt, avoid),
      log: (vm, level, text) => options.log.add(level, vm.vmId, text),
      waiting: (vm, what) => {
        const password = this.details.get(vm.vmId)?.password ?? null;
        this.setDetails(vm.vmId, { password, waitingFor: what });
        if (what !== null) options.log.add('bad', vm.vmId, what);
        this.tellState(vm);
      },
      ended: (vm, reason, orderly) => this.end(vm, orderly ? 'info' : 'bad', reason),
      failed: (vm, reason) => {
        if (vm.state.kind === 'arriving') {
          options.log.add('bad', vm.vmId, reason);
          this.remove(vm);
        } else if (vm.state.kind === 'migrating') {
          this.failMigrating(vm, vm.state.migrationId, vm.state.to, reason);
        } else {
          this.end(vm, 'bad', reason);
        }
      },
    };
  }

  /** The worker died in the middle of a migration: the report says so, and the VM is lost. */
  private failMigrating(vm: LocalVm, id: MigrationId, to: HostId, reason: string): void {
    const link: LinkKind = 'webrtc';
    const memoryBytes = this.loaded?.manifest.memoryBytes ?? 0;
    const report: MigrationReport = {
      id, vmId: vm.vmId, from: this.options.self, to, outcome: 'failed', cause: 'vm-ended', reason, rounds: [],
      pauseMs: 0, totalMs: 0, bytesOnWire: 0, memoryBytes, link, verified: null,
    };
    this.end(vm, 'bad', reason);
    this.options.migrations().finished(report);
  }
}
