/**
 * Tabs of one room in one process: the real LocalVms, Migrations and HostLinks of each, wired as tab.ts wires them, over
 * a model of the relay that delivers late, as a seeded schedule says, and VM workers that are fakes.
 */
import type { SeededRandom } from '../../migration/testing/seeded-random.ts';
import type { CreatedVm, HostInfo, VmInfo } from '../../net-relay/protocol/relay-protocol.ts';
import type { HostId, MigrationId, VmId } from '../../shared/ids.ts';
import type { GuestSet } from '../../emulator-bridge/guest-artefacts.ts';
import { HostLinks } from '../host-links.ts';
import type { HostMessage } from '../host-messages.ts';
import { HostReadiness } from '../host-readiness.ts';
import { loadOnce } from '../load-once.ts';
import { LocalVms } from '../local-vms.ts';
import { routeMessage } from '../message-routing.ts';
import { Migrations } from '../migrations.ts';
import type { RemoteConsoles } from '../remote-consoles.ts';
import type { ConsoleInput } from '../console-input.ts';
import { RoomLog } from '../room-log.ts';
import type { EndedMigration, TabMotionVm } from '../scripting-interface.ts';
import { publicVm, vmViews } from '../vm-views.ts';
import { vmOwner } from '../vm-owner.ts';
import type { RelayAccess } from '../../vm-host/vm-worker-messages.ts';
import { FakeVmWorker } from './fake-vm-worker.ts';
import { ModelVm } from './model-guest.ts';
import { systemClock } from '../../shared/system-clock.ts';

/** From a tab to the relay, or back. */
const RELAY_MS = 8;
const TELL_ROOM_MS = 20;
/** How often a tab hears how much of the guest it has. */
const LOAD_STEPS = 4;
const GUEST = { manifest: { memoryBytes: 1 } } as unknown as GuestSet;

/** How long a tab's page loads the guest, and whether it then has it. */
export interface GuestLoad {
  readonly ms: number;
  readonly fails: boolean;
}

export interface ModelTab {
  readonly id: HostId;
  readonly vms: LocalVms;
  readonly migrations: Migrations;
  readonly news: EndedMigration[];
  /** What it heard of targets that still load the guest: how much of it they have. */
  readonly targetsLoaded: number[];
  readonly workers: FakeVmWorker[];
  listedVms(): TabMotionVm[];
}

export class ModelRoom {
  readonly vms = new Map<VmId, ModelVm>();
  readonly tabs = new Map<HostId, ModelTab>();
  readonly random: SeededRandom;
  /** Of the tab that is made next. */
  withoutEngines = false;
  /** Of the tab that is made next. */
  guestLoad: GuestLoad = { ms: 0, fails: false };
  private readonly arrivals = new Map<MigrationId, FakeVmWorker>();
  private readonly receivers = new Map<HostId, (from: HostId, message: HostMessage) => void>();
  private readonly hears = new Map<HostId, (vms: readonly VmInfo[], hosts: readonly HostInfo[]) => void>();
  /** What one party sent another arrives in order. */
  private readonly lastAt = new Map<string, number>();

  constructor(random: SeededRandom) {
    this.random = random;
  }

  vm(vmId: string): ModelVm {
    const vm = this.vms.get(vmId as VmId);
    if (vm === undefined) throw new Error(`No VM ${vmId}`);
    return vm;
  }

  forget(vmId: VmId): void {
    this.vm(vmId).forget();
    this.tell();
  }

  /** As the relay lists them. */
  list(): VmInfo[] {
    return [...this.vms.values()].filter((vm) => vm.listed).map((vm) => vm.info());
  }

  addTab(id: HostId): ModelTab {
    let vms: readonly VmInfo[] = this.list();
    let hosts: readonly HostInfo[] = [];
    const { withoutEngines, guestLoad } = this;
    const guest = loadOnce((onProgress) => loadFor(guestLoad, onProgress), () => undefined);
    const workers: FakeVmWorker[] = [];
    const news: EndedMigration[] = [];
    const targetsLoaded: number[] = [];
    const log = new RoomLog(() => undefined, () => Date.now());
    const ownerOf = (vmId: VmId): HostId | null => (vms.find((vm) => vm.id === vmId)?.hostId ?? null) as HostId | null;
    const send = (to: HostId, message: HostMessage): void => this.transmit(id, to, message);
    const sendToRoom = (message: HostMessage): void => {
      for (const to of this.tabs.keys()) if (to !== id) this.transmit(id, to, message);
    };
    const listedVms = (): TabMotionVm[] =>
      vmViews(vms, { self: id, here: localVms.states(), movedTo: localVms.movedTo, ended: localVms.ended, details: localVms.details, traffic: new Map() })
        .filter((vm) => !vm.ended).map(publicVm);
    const localVms: LocalVms = new LocalVms({
      clock: systemClock,
      self: id,
      spawn: () => {
        const worker = new FakeVmWorker({ random: this.random, host: id, vm: (vmId) => this.vm(vmId), arrivals: this.arrivals, withoutEngines, leaseMoved: () => this.tell() });
        workers.push(worker);
        return worker as unknown as Worker;
      },
      relay: () => ({}) as RelayAccess,
      loadGuest: guest.load,
      guestLoaded: () => readiness.loaded(),
      loadedShare: guest.share,
      room: {
        createVm: () => this.ask(id, () => this.create(id)),
        destroyVm: (vmId, epoch) => this.ask(id, () => this.destroy(id, vmId, epoch)),
        setVmState: (vmId, epoch, state) => this.pass(id, 'relay', () => {
          const vm = this.vm(vmId);
          if (vm.owner === id && vm.epoch === (epoch as number)) vm.state = state;
          this.tell();
        }),
        vm: (vmId) => vms.find((vm) => vm.id === vmId),
        sendToHost: send, sendToRoom,
      },
      log,
      consoles: { output: () => undefined, follow: () => undefined, continueHere: () => undefined } as unknown as RemoteConsoles,
      input: { applied: () => undefined } as unknown as ConsoleInput,
      viewOf: () => undefined,
      changed: () => undefined,
    });
    const links = new HostLinks({
      clock: systemClock,
      self: id, connections: null, presence: null, send,
      accept: (from, migrationId, vmId, attempt, hand) => localVms.accept(from, migrationId, vmId, attempt, hand),
      abandoned: (from, migrationId) => localVms.abandoned(from, migrationId),
    });
    const migrations = new Migrations({
      clock: systemClock,
      wallMs: () => Date.now(),
      self: id, links, send, sendToRoom, ownerOf,
      ownerNow: (vmId) => {
        const here = localVms.getOrArriving(vmId);
        return vmOwner({ self: id, listed: ownerOf(vmId), here: here === null ? null : here.state.kind === 'arriving' ? 'arriving' : 'settled', movedTo: localVms.movedTo.get(vmId) ?? null });
      },
      memoryBytesOf: () => 1,
      vmNameOf: (vmId) => vmId,
      hostNameOf: (hostId) => `tab ${hostId}`,
      isExpected: (hostId) => hosts.some((host) => host.id === hostId),
      whenPresent: (hostId) => Promise.resolve(hosts.some((host) => host.id === hostId)),
      localVm: (vmId) => localVms.get(vmId),
      arrival: (vmId) => {
        const vm = localVms.getOrArriving(vmId);
        return vm?.state.kind === 'arriving' ? vm.whenHere : null;
      },
      started: () => localVms.tellStates(),
      ended: (migration) => news.push(migration),
      recalled: () => undefined,
      changed: () => undefined,
      onProgress: ({ targetLoaded }) => {
        if (targetLoaded !== undefined) targetsLoaded.push(targetLoaded);
      },
    });
    const readiness = new HostReadiness({ self: id, sendToHost: send, sendToRoom, changed: () => undefined });
    const parts = { links, migrations, readiness, localVms, consoles: { receive: () => undefined, sizes: { tell: () => undefined } } };
    void localVms.guest().catch(() => undefined);
    localVms.progressed.on((progress) => migrations.progressed(progress));
    localVms.reported.on((report) => migrations.finished(report));
    const tab: ModelTab = { id, vms: localVms, migrations, news, targetsLoaded, workers, listedVms };
    this.tabs.set(id, tab);
    this.receivers.set(id, (from, message) => routeMessage(from, message, parts));
    this.hears.set(id, (newVms, newHosts) => {
      vms = newVms;
      hosts = newHosts;
      links.meet(hosts.map((host) => host.id as HostId));
      localVms.listed();
    });
    this.tell();
    return tab;
  }

  private transmit(from: HostId, to: HostId, message: HostMessage): void {
    this.pass(from, 'relay', () => this.pass('relay', to, () => this.receivers.get(to)?.(from, message)));
  }

  private tell(): void {
    for (const id of this.tabs.keys()) {
      setTimeout(() => {
        const [vms, hosts] = [this.list(), [...this.tabs.keys()].map((host) => ({ id: host, name: host }))];
        this.pass('relay', id, () => this.hears.get(id)?.(vms, hosts));
      }, TELL_ROOM_MS);
    }
  }

  private ask<T>(from: HostId, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.pass(from, 'relay', () => {
        try {
          const answer = work();
          this.pass('relay', from, () => resolve(answer));
        } catch (error) {
          this.pass('relay', from, () => reject(error instanceof Error ? error : new Error(String(error))));
        }
      });
    });
  }

  private create(owner: HostId): CreatedVm {
    const vm = new ModelVm(`vm-${this.vms.size + 1}` as VmId, owner);
    this.vms.set(vm.id, vm);
    this.tell();
    return { vmId: vm.id, name: vm.id, mac: '02:5a:00:00:00:02', ip: '10.86.0.2', netmask: '255.255.255.0', gateway: '10.86.0.1', epoch: vm.epoch };
  }

  private destroy(host: HostId, vmId: VmId, epoch: number): void {
    const vm = this.vm(vmId);
    if (!vm.listed || vm.owner !== host || vm.epoch !== epoch) throw new Error('The VM belongs to another host now.', { cause: 'refused' });
    vm.listed = false;
    this.tell();
  }

  private pass(from: string, to: string, deliver: () => void): void {
    const lane = `${from}>${to}`;
    const at = Math.max(this.lastAt.get(lane) ?? 0, Date.now() + this.random.next() * RELAY_MS);
    this.lastAt.set(lane, at);
    setTimeout(deliver, at - Date.now());
  }
}

async function loadFor({ ms, fails }: GuestLoad, onProgress: (fraction: number) => void): Promise<GuestSet> {
  for (let step = 1; step <= LOAD_STEPS; step++) {
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms / LOAD_STEPS));
    onProgress(step / LOAD_STEPS);
  }
  if (fails) throw new Error('The PC could not be loaded.');
  return GUEST;
}
