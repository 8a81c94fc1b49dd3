/**
 * One room: a LAN of its own, the hosts that see each other, the VMs they run. Nothing of one room reaches another.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import type { HostId, Ipv4Address, MacAddress, RoomName, VmId } from '../../shared/ids.ts';
import type { EndedVms } from './ended-vms.ts';
import { GATEWAY_IP, LAN_NETMASK, type Lan, type LanVm, type OpenGateway } from '../lan/lan.ts';
import { RoomLanes } from './lane-session.ts';
import type { CreatedVm, EndedVm, Ending, LastWord, PortForward, RelayToHost, VmInfo, VmState } from '../protocol/relay-protocol.ts';
import type { RelayStore, StoredVm } from '../store/relay-store.ts';
import { triesToStore, type WriteUse } from '../store/key-value-store.ts';
import { matchesDigest } from './room-keys.ts';
import { Pace } from '../limits/pace.ts';
import { RequestRefused } from './request-refused.ts';
import { RoomHosts, type HostVoice } from './room-hosts.ts';
import { RoomTelling } from './room-telling.ts';
import type { OwnersEnding } from './switchover-endings.ts';
import { RoomVm, type RoomVmIdentity, type RoomVmWorld, type VmRecord } from './room-vm.ts';
import { Trace, type TraceEntry } from '../../shared/trace.ts';
import { Switch } from '../lan/switch.ts';
import { hex } from '../../shared/hex.ts';
import { freeMac, freeVmName, MAX_VMS, VmAddresses } from '../lan/vm-identities.ts';
import { MAX_VMS_PER_HOST, SHARED_PACE } from '../limits/server-limits.ts';

/** A VM whose owner never comes back is forgotten after a day of the relay's uptime, in beats of a second. */
const KEEP_AWAY_VM_BEATS = 24 * 3600;
/** One that never ran, and so has nothing to lose, after a minute. */
const KEEP_NEVER_RUN_BEATS = 60;
/** Or after an hour, if its address is needed. */
const KEEP_AWAY_VM_BEATS_WHEN_FULL = 3600;
/** A VM cannot be forgotten sooner: its owner may only be on its way back, as all owners are after a restart of the relay. */
const FORGETTABLE_AFTER_BEATS = 10;
/** Nor can a VM in a switchover: either side may still come back to end the switchover. */
const FORGETTABLE_IN_SWITCHOVER_AFTER_BEATS = 60;
/** Frames that wait for an owner who is away this long are of no use any more. */
const EXPIRE_HELD_BEATS = 30;
/** A host that has been away for this long has left, and not only reloaded. */
const TELL_LEFT_BEATS = 30;
/** An empty room is forgotten after this many beats; its key is kept if it had a VM. */
const KEEP_EMPTY_ROOM_BEATS = 60;
/** Some hundred bytes each: several moves of each VM of a full room, and little of the server's memory. */
const TRACE_ENTRIES = 300;

export interface RoomWorld {
  readonly clock: Clock;
  /** The relay's wall clock, in milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly store: RelayStore;
  /** Why a host of this address can make no further VM, as a sentence; null if it can. */
  refusesVmOf(address: string | null): string | null;
  /** The room is about to have a VM: its key is stored. False if there are too many such rooms; throws StoreRefusal. */
  keepKey(): boolean;
  randomBytes(count: number): Uint8Array;
  readonly openGateway: OpenGateway | null;
  /** What the room remembers of VMs that ended; outlives the room. */
  readonly ended: EndedVms;
  /** Each step of the room's trace. */
  readonly noted: (room: RoomName, entry: TraceEntry) => void;
}

export class Room implements Disposable {
  readonly name: RoomName;
  readonly trace: Trace;
  readonly hosts: RoomHosts<RelayToHost>;
  readonly lanSwitch = new Switch();
  /** Migrations between hosts that cannot reach each other directly. */
  readonly lanes = new RoomLanes();
  /** The pace at which its sockets are read. */
  readonly pace: Pace;
  private readonly world: RoomWorld;
  private readonly vms = new Map<VmId, RoomVm>();
  private readonly vmsChanged = new Emitter<undefined>();
  private readonly left = new Emitter<undefined>();
  private beatsWithoutHosts = 0;
  private readonly vmWorld: RoomVmWorld;
  private readonly gateway: Disposable | null;
  private readonly telling: RoomTelling;
  private emptyBeats = 0;
  private readonly addresses = new VmAddresses();

  constructor(name: RoomName, world: RoomWorld) {
    this.name = name;
    this.world = world;
    this.trace = new Trace(world.clock, TRACE_ENTRIES);
    this.trace.noted.on((entry) => world.noted(name, entry));
    this.hosts = new RoomHosts(this.trace.note);
    this.pace = new Pace(SHARED_PACE, world.clock.now());
    this.telling = new RoomTelling(this.hosts, world.clock, () => this.roomMessage());
    this.vmWorld = {
      clock: world.clock,
      wallMs: world.wallMs,
      lanSwitch: this.lanSwitch,
      store: (vm, record) => this.store(vm, record, 'settling'),
      note: this.trace.note,
      changed: () => this.changed(),
      tokenDigest: (hostId) => this.hosts.tokenDigest(hostId),
    };
    for (const [id, stored] of world.store.vms.get(name) ?? []) this.restore(id, stored);
    this.gateway = world.openGateway?.(this.lan()) ?? null;
  }

  vm(id: string): RoomVm | undefined {
    return this.vms.get(id as VmId);
  }

  listVms(): VmInfo[] {
    return [...this.vms.values()].map((vm) => ({
      id: vm.identity.id,
      name: vm.identity.name,
      state: vm.state,
      hostId: vm.ownerHostId,
      ownerPresent: this.isOwnerPresent(vm),
      mac: vm.identity.mac,
      ip: vm.identity.ip,
      memoryBytes: vm.identity.memoryBytes,
      epoch: vm.epoch,
      forwards: [...vm.forwards],
    }));
  }

  listEnded(): EndedVm[] {
    return this.world.ended.list(this.world.clock.now());
  }

  roomMessage(): RelayToHost {
    return { type: 'room', hosts: this.hosts.list(), vms: this.listVms(), ended: this.listEnded() };
  }

  /** Throws RequestRefused, or StoreRefusal: then there is no VM. The same request again gives the same VM. */
  createVm(
    hostId: HostId,
    requestId: number,
    wanted: { readonly name?: string | undefined; readonly memoryBytes: number },
    address: string | null = null,
  ): CreatedVm {
    const made = [...this.vms.values()].find(({ identity }) => identity.createdBy.hostId === hostId && identity.createdBy.requestId === requestId);
    if (made !== undefined) return describe(made);
    if ([...this.vms.values()].filter((vm) => vm.ownerHostId === hostId).length >= MAX_VMS_PER_HOST) {
      throw new RequestRefused(`A host may run ${MAX_VMS_PER_HOST} VMs in a room; end one first.`);
    }
    const refusal = this.world.refusesVmOf(address);
    if (refusal !== null) throw new RequestRefused(refusal);
    if (!this.world.keepKey()) throw new RequestRefused('The server keeps as many rooms with PCs as it can. Use a room that exists, or try again later.');
    const identity: RoomVmIdentity = {
      id: `vm-${hex(this.world.randomBytes(8))}` as VmId,
      name: wanted.name ?? freeVmName(this.taken('name')),
      mac: freeMac(this.taken('mac'), (count) => this.world.randomBytes(count)),
      ip: this.freeAddress(),
      memoryBytes: wanted.memoryBytes,
      createdBy: { hostId, requestId },
    };
    const vm = new RoomVm(identity, hostId, this.vmWorld);
    vm.maker = address;
    try {
      this.store(vm, vm.record, 'new');
    } catch (error) {
      vm.dispose('It could not be stored.');
      throw error;
    }
    this.vms.set(identity.id, vm);
    this.trace.note(identity.name, `created by ${hostId} as ${identity.id}`);
    this.changed();
    return describe(vm);
  }

  /** Ignored if it comes from an older owner: the newer one says what the VM does. */
  setVmState(hostId: HostId, vmId: string, epoch: number, state: VmState): void {
    const vm = this.vm(vmId);
    if (vm?.ownerHostId !== hostId || vm.epoch !== epoch || vm.state === state) return;
    this.trace.note(vm.identity.name, `its owner says: ${vm.state} -> ${state}`);
    vm.state = state;
    this.changed();
  }

  /** Throws RequestRefused with a sentence, or StoreRefusal. */
  destroyVm(hostId: HostId, vmId: string, epoch: number, ending?: Ending): void {
    const vm = this.vm(vmId);
    if (vm === undefined) throw new RequestRefused('There is no such VM in this room.');
    const { name } = vm.identity;
    if (vm.ownerHostId !== hostId || vm.epoch !== epoch) throw new RequestRefused(`${name} belongs to another host now.`);
    const told: OwnersEnding = { hostId, ending: ending ?? null };
    const refusal = vm.endsAfterSwitchover(told);
    if (refusal !== null) throw new RequestRefused(refusal);
    this.end(vm, told);
  }

  /** The last message of a tab that left. What the relay knows already, or what this host no longer owns, is left alone. Throws StoreRefusal. */
  lastWord({ hostId, hostToken, vms }: LastWord): void {
    const tokenDigest = this.hosts.tokenDigest(hostId as HostId);
    if (tokenDigest === undefined || !matchesDigest(hostToken, tokenDigest)) return;
    for (const { vmId, epoch, ending } of vms) {
      try {
        this.destroyVm(hostId as HostId, vmId, epoch, ending);
      } catch (error) {
        if (!(error instanceof RequestRefused)) throw error;
      }
    }
  }

  /** Any host may ask for it, for a VM whose owner is gone. Throws RequestRefused with a sentence, or StoreRefusal. */
  forgetVm(vmId: string, epoch: number): void {
    const vm = this.vm(vmId);
    if (vm === undefined) throw new RequestRefused('There is no such VM in this room.');
    const { name } = vm.identity;
    if (vm.epoch !== epoch) throw new RequestRefused(`${name} has moved since (epoch ${vm.epoch}, not ${epoch}).`);
    if (this.isOwnerPresent(vm)) throw new RequestRefused(`The tab that holds ${name} is here; only that tab can end it.`);
    if (vm.hasSession) throw new RequestRefused(`${name} is being moved; it can be forgotten once that is over.`);
    const missing = (vm.leaseState === 'owned' ? FORGETTABLE_AFTER_BEATS : FORGETTABLE_IN_SWITCHOVER_AFTER_BEATS) - vm.awayBeats;
    if (missing > 0) throw new RequestRefused(`The tab that holds ${name} may be on its way back; ${name} can be forgotten in ${missing} s.`);
    this.forget(vm, `${name} was forgotten by the room.`, { how: 'forgotten' });
  }

  /** Asked for by any host; ids that are not remembered do no harm. */
  dismissEnded(vmIds: readonly string[]): void {
    if (this.world.ended.dismiss(vmIds)) this.changed();
  }

  /** The owner has changed the room's key. */
  tellKey(key: string, besides: HostId | null = null): void {
    this.telling.tell({ type: 'key-changed', key }, besides);
  }

  /** Throws RequestRefused with a sentence if removeHost() would take a VM from a switchover. */
  checkRemovable(hostId: string): void {
    const id = hostId as HostId;
    if (this.hosts.tokenDigest(id) === undefined) throw new RequestRefused('There is no such host in this room.');
    this.checkSettled((vm) => vm.hosts.includes(id) || vm.hasSessionOf(id));
  }

  /** Ends the VMs of a host, closes all its sockets and forgets its token. Throws StoreRefusal: then the host is still there, perhaps with fewer VMs. */
  removeHost(hostId: string): void {
    const id = hostId as HostId;
    for (const vm of [...this.vms.values()]) {
      if (vm.ownerHostId === id) this.forget(vm, `${vm.identity.name} has ended: its tab was removed from the room.`, { how: 'host-removed' });
      else vm.refuseHost(id, 'removed');
    }
    this.lanes.refuse('removed', id);
    this.hosts.remove(id, 'removed');
    this.changed();
  }

  /** Throws RequestRefused with a sentence if endAllVms() would end a VM in a switchover. */
  checkClosable(): void {
    this.checkSettled(() => true);
  }

  /** When the room is closed. Throws StoreRefusal: then some VMs may still be there. */
  endAllVms(): void {
    for (const vm of [...this.vms.values()]) this.forget(vm, `${vm.identity.name} has ended: the room was closed.`, null);
  }

  /** Removes everybody; the room must be disposed of afterwards. */
  close(): void {
    this.lanes.refuse('room-closed');
    for (const { id } of this.hosts.list()) this.hosts.remove(id as HostId, 'room-closed');
  }

  toRoom(from: HostId, message: RelayToHost): void {
    this.telling.tell(message, from);
  }

  toHost(voice: HostVoice<RelayToHost>, message: RelayToHost, characters: number): void {
    this.telling.tellOne(voice, message, characters);
  }

  changed(): void {
    this.vmsChanged.emit(undefined);
    this.telling.changed();
  }

  /** Once per second of the relay's uptime. True if the room can be forgotten. */
  beat(): boolean {
    let changed = this.hosts.beat((id) => [...this.vms.values()].some((vm) => vm.hosts.includes(id) || vm.hasSessionOf(id)));
    for (const vm of [...this.vms.values()]) {
      const ended = vm.endedInSwitchover();
      if (ended !== null && triesToStore(() => this.end(vm, ended))) {
        changed = true;
        continue;
      }
      if (this.isOwnerPresent(vm)) {
        vm.awayBeats = 0;
        continue;
      }
      vm.awayBeats += 1;
      if (vm.awayBeats >= EXPIRE_HELD_BEATS) vm.port.expire();
      if (vm.awayBeats >= (vm.hasRun ? KEEP_AWAY_VM_BEATS : KEEP_NEVER_RUN_BEATS)) changed = triesToStore(() => this.expire(vm)) || changed;
    }
    if (changed) this.changed();
    this.telling.traffic(this.vms.values());
    this.lanes.beat();
    const isLeft = this.hosts.list().length === 0;
    this.beatsWithoutHosts = isLeft ? this.beatsWithoutHosts + 1 : 0;
    if (isLeft && this.beatsWithoutHosts % TELL_LEFT_BEATS === 0) this.left.emit(undefined);
    const empty = this.vms.size === 0 && this.lanes.size === 0 && isLeft;
    this.emptyBeats = empty ? this.emptyBeats + 1 : 0;
    return this.emptyBeats >= KEEP_EMPTY_ROOM_BEATS;
  }

  dispose(): void {
    this.telling.dispose();
    this.gateway?.dispose();
    for (const vm of this.vms.values()) vm.dispose('The relay is shutting down.');
    this.vms.clear();
    this.vmsChanged.dispose();
    this.left.dispose();
  }

  *allVms(): Generator<RoomVm> {
    yield* this.vms.values();
  }

  private lan(): Lan {
    return {
      room: this.name,
      plug: (station, place) => this.lanSwitch.plug(station, place),
      vms: () => [...this.vms.values()].map((vm) => this.lanVm(vm)),
      onVms: (listener) => this.vmsChanged.on(listener),
      onLeft: (listener) => this.left.on(listener),
      reportPing: (vmId, seq, rttMs) => this.telling.pinged({ vmId, seq, rttMs }),
      setForwards: (vmId, forwards) => this.setForwards(vmId, forwards),
    };
  }

  private lanVm(vm: RoomVm): LanVm {
    const { id, name, mac, ip } = vm.identity;
    return { id, name, mac, ip, ownerHostId: vm.ownerHostId, epoch: vm.epoch, attached: vm.port.attached, forwards: vm.forwards };
  }

  private setForwards(vmId: VmId, forwards: readonly PortForward[]): void {
    const vm = this.vms.get(vmId);
    if (vm === undefined) return;
    vm.setForwards(forwards.map(({ guestPort, hostPort }) => ({ guestPort, hostPort })));
    this.changed();
  }

  private checkSettled(concerns: (vm: RoomVm) => boolean): void {
    const moving = [...this.vms.values()].find((vm) => vm.isInSwitchover && concerns(vm));
    if (moving !== undefined) throw new RequestRefused(`${moving.identity.name} is being handed over; try again in a moment.`);
  }

  private isOwnerPresent(vm: RoomVm): boolean {
    return vm.port.attached || this.hosts.isPresent(vm.ownerHostId);
  }

  private restore(id: VmId, stored: StoredVm): void {
    for (const [hostId, digest] of Object.entries(stored.tokens)) this.hosts.admit(hostId as HostId, digest);
    const identity: RoomVmIdentity = {
      id,
      name: stored.name,
      mac: stored.mac as MacAddress,
      ip: stored.ip as Ipv4Address,
      memoryBytes: stored.memoryBytes,
      createdBy: { hostId: stored.createdBy.hostId as HostId, requestId: stored.createdBy.requestId },
    };
    this.vms.set(id, new RoomVm(identity, stored.lease.ownerHostId as HostId, this.vmWorld, stored));
  }

  private store(vm: RoomVm, { lease, hosts, forwards }: VmRecord, use: WriteUse): void {
    const { id, name, mac, ip, memoryBytes, createdBy } = vm.identity;
    const tokens: Record<string, string> = {};
    for (const hostId of hosts) {
      const digest = this.hosts.tokenDigest(hostId);
      if (digest !== undefined) tokens[hostId] = digest;
    }
    this.world.store.putVm(this.name, id, { name, mac, ip, memoryBytes, createdBy: { ...createdBy }, lease, tokens, forwards: [...forwards] }, use);
  }

  private end(vm: RoomVm, { ending }: OwnersEnding): void {
    this.forget(vm, `${vm.identity.name} has ended.`, ending);
  }

  /** `ending` null: the VM never came to be, and nobody needs to hear of it. Throws StoreRefusal: then the VM is still there. */
  private forget(vm: RoomVm, reason: string, ending: (Pick<EndedVm, 'how'> & { readonly why?: string | undefined }) | null): void {
    const {
      ownerHostId: hostId,
      identity: { id, name },
    } = vm;
    this.world.store.removeVm(this.name, id);
    if (ending !== null)
      this.world.ended.add({ id, name, hostId, hostName: this.hosts.nameOf(hostId), how: ending.how, why: ending.why ?? null }, this.world.clock.now());
    this.vms.delete(vm.identity.id);
    this.trace.note(name, ending === null ? 'gone' : `gone: ${ending.how}`);
    this.telling.forgetVm(vm.identity.id);
    vm.dispose(reason);
    this.changed();
  }

  private expire(vm: RoomVm): void {
    this.forget(vm, `The host of ${vm.identity.name} did not come back within a day.`, { how: 'expired' });
  }

  private freeAddress(): Ipv4Address {
    const free = this.addresses.free(this.taken('ip'));
    if (free !== null) return free;
    const oldest = [...this.vms.values()].reduce((a, b) => (b.awayBeats > a.awayBeats ? b : a));
    if (oldest.awayBeats < KEEP_AWAY_VM_BEATS_WHEN_FULL) throw new RequestRefused(`A room holds ${MAX_VMS} VMs; end one first.`);
    this.forget(oldest, `The host of ${oldest.identity.name} has been away for an hour, and its address was needed.`, { how: 'expired' });
    return oldest.identity.ip;
  }

  private taken<K extends 'name' | 'mac' | 'ip'>(what: K): Set<RoomVmIdentity[K]> {
    return new Set([...this.vms.values()].map((vm) => vm.identity[what]));
  }
}

function describe(vm: RoomVm): CreatedVm {
  const { id, name, mac, ip } = vm.identity;
  return { vmId: id, name, mac, ip, netmask: LAN_NETMASK, gateway: GATEWAY_IP, epoch: vm.epoch };
}
