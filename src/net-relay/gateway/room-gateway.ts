/**
 * Joins gateways to the rooms of a relay: one gateway per room, its port forwards opened as VMs come (the same host ports
 * as before, if the relay knew the VM already), its pings reported to the room.
 */
import * as v from 'valibot';
import type { Clock } from '../../shared/clock.ts';
import { DisposableBag, type Disposable } from '../../shared/disposable.ts';
import type { RoomName, VmId } from '../../shared/ids.ts';
import { GATEWAY_IP, GATEWAY_MAC, LAN_NETMASK, type Lan, type LanVm, type OpenGateway } from '../lan/lan.ts';
import { roomNameSchema } from '../protocol/relay-protocol.ts';
import { DEFAULT_ROOM } from '../protocol/relay-protocol.ts';
import { StoreRefusal, StoreUnsure } from '../store/key-value-store.ts';
import type { StationSocket } from '../lan/station.ts';
import { createGateway, DEFAULT_GUEST_PORTS, type Gateway } from './gateway.ts';
import type { HostNetwork } from './host-network.ts';
import type { LeaseTable } from './leases.ts';
import { createOutboundPolicy } from './outbound-policy.ts';
import { ForwardError, type Forward, type ForwardRequest } from './port-forwards.ts';
import type { CaptureFile } from './capture.ts';
import { plugCapture, type PluggedCapture } from './room-stations.ts';
import { MAX_CAPTURES } from '../limits/server-limits.ts';

/** For how long the host ports of a VM stay open while nobody runs it: longer than any switchover, and than its tab needs to come back. */
const KEEP_LISTENING_MS = 30_000;

/** `--ping-ms`. */
const DEFAULT_PING_MS = 100;

/** A forward that somebody asks for. */
export interface WantedForward {
  readonly hostPort: number;
  /** Id or name of the VM. */
  readonly vm: string;
  readonly guestPort: number;
}

export interface RoomGatewaysOptions {
  readonly clock: Clock;
  /** Beat of the ping that feeds the page's strip. Default DEFAULT_PING_MS. */
  readonly pingMs?: number;
  readonly forwardAddress?: string;
  /** Forwards asked for at the server's start (`--forward`); each is opened once such a VM exists in its room. */
  readonly forwards?: readonly PromisedForward[];
  readonly outbound?: readonly string[] | null;
  /** The rooms to which `outbound` applies. Absent: only the default room. */
  readonly outboundRooms?: readonly RoomName[] | 'all';
  /** Further names of a room: an IP address, or null. */
  readonly names?: (room: RoomName, name: string) => string | null;
  /** Rooms whose switch has a real network on it. */
  readonly learnNeighbours?: (room: RoomName) => boolean;
  readonly network?: HostNetwork;
  /** Milliseconds since 1970, for captures; default Date.now. */
  readonly wallClock?: () => number;
  readonly log?: (line: string) => void;
}

/** The same with its room: PCs of other rooms may have the same name. */
export interface PromisedForward extends WantedForward {
  readonly room: RoomName;
}

export function isRoomName(text: string): text is RoomName {
  return v.is(roomNameSchema, text);
}

/** `HOSTPORT:[ROOM/]VM:GUESTPORT`; without a room, the default room. Throws RangeError with the expected syntax. */
export function parsePromisedForward(text: string): PromisedForward {
  const match = /^(\d{1,5}):(?:([^:/]+)\/)?([^:]+):(\d{1,5})$/.exec(text);
  const [, hostPort, room = DEFAULT_ROOM, vm, guestPort] = match ?? [];
  if (vm === undefined || Number(hostPort) > 65_535 || Number(guestPort) > 65_535 || Number(guestPort) === 0 || !isRoomName(room)) {
    throw new RangeError(`"${text}" is not a port forward: write HOSTPORT:VM:GUESTPORT, such as 8080:my-vm:80, or HOSTPORT:ROOM/VM:GUESTPORT`);
  }
  return { hostPort: Number(hostPort), room, vm, guestPort: Number(guestPort) };
}

/** The gateways of all rooms of one relay. */
export class RoomGateways {
  private readonly options: RoomGatewaysOptions;
  private readonly rooms = new Map<RoomName, RoomGateway>();

  /** Throws OutboundRuleError for a rule that cannot be read. */
  constructor(options: RoomGatewaysOptions) {
    if (options.outbound) createOutboundPolicy(options.outbound, 0, 0xffff_ffff);
    this.options = options;
  }

  /** For the relay: opens a room's gateway. */
  readonly open: OpenGateway = (lan) => {
    const room: RoomGateway = new RoomGateway(
      lan,
      this.options,
      () => [...this.rooms.values()].filter((other) => other !== room && other.captureState().running).length < MAX_CAPTURES,
    );
    this.rooms.set(lan.room, room);
    return {
      dispose: () => {
        if (this.rooms.get(lan.room) === room) this.rooms.delete(lan.room);
        room.dispose();
      },
    };
  };

  /** For the API: a room's gateway while the room is open. The room hears of forwards that are changed through it. */
  of(room: RoomName): RoomGateway | undefined {
    return this.rooms.get(room);
  }
}

interface KnownVm {
  ping: Disposable | null;
  epoch: number;
  /** Its ports are open, or being opened. */
  listens: boolean;
  /** Set while nobody runs it, until its ports are closed. */
  leaving: Disposable | null;
  /** Its ports are being closed. */
  closing: Promise<void>;
}

/** One room's gateway, following the room's VMs. */
export class RoomGateway implements Disposable {
  readonly gateway: Gateway;
  private readonly lan: Lan;
  private readonly options: RoomGatewaysOptions;
  private readonly socket: StationSocket;
  private readonly subscriptions = new DisposableBag();
  private readonly known = new Map<string, KnownVm>();
  private readonly mayCapture: () => boolean;
  private capture: PluggedCapture | null = null;

  constructor(lan: Lan, options: RoomGatewaysOptions, mayCapture: () => boolean = () => true) {
    this.lan = lan;
    this.mayCapture = mayCapture;
    this.options = options;
    const leases: LeaseTable = {
      all: () => lan.vms().map((vm) => ({ vmId: vm.id, name: vm.name, mac: vm.mac, ip: vm.ip })),
      onChange: (listener) => lan.onVms(listener),
    };
    this.gateway = createGateway({
      mac: GATEWAY_MAC,
      ip: GATEWAY_IP,
      netmask: LAN_NETMASK,
      leases,
      clock: options.clock,
      send: (frame) => this.socket.send(frame),
      forwardAddress: options.forwardAddress,
      outbound: goesOut(options.outboundRooms ?? [DEFAULT_ROOM], lan.room) ? options.outbound : null,
      names: (name) => options.names?.(lan.room, name) ?? null,
      learnNeighbours: options.learnNeighbours?.(lan.room) ?? false,
      network: options.network,
      log: options.log,
    });
    this.socket = lan.plug(this.gateway, { mac: GATEWAY_MAC });
    this.subscriptions.add(lan.onVms(() => this.follow()));
    // Otherwise its memory would be kept for as long as one of the room's VMs may come back, with nobody to read it.
    this.subscriptions.add(lan.onLeft(() => this.stopCapture()));
    this.follow();
  }

  forwards(): Forward[] {
    return this.gateway.forwards();
  }

  /** `vm`: id or name. Rejects with ForwardError. */
  async addForward({ vm, hostPort, guestPort }: WantedForward): Promise<Forward> {
    const named = this.lan.vms().filter(({ id, name }) => id === vm || name === vm);
    if (named.length !== 1)
      throw new ForwardError(named.length === 0 ? 'There is no such VM in this room' : `${named.length} VMs are called ${vm}: name it by its id`);
    const forward = await this.gateway.addForward({ vmId: named[0]?.id ?? vm, hostPort, guestPort });
    try {
      this.tellForwards(forward.vmId);
    } catch (error) {
      await this.gateway.removeForward(forward.hostPort);
      throw forwardRefusal(error);
    }
    return forward;
  }

  /** False if there is none on that host port. Rejects with ForwardError: then it stays. */
  async removeForward(hostPort: number): Promise<boolean> {
    const forward = this.gateway.forwards().find((candidate) => candidate.hostPort === hostPort);
    if (forward === undefined) return false;
    try {
      this.tellForwards(forward.vmId, hostPort);
    } catch (error) {
      throw forwardRefusal(error);
    }
    await this.gateway.removeForward(hostPort);
    return true;
  }

  captureState(): { readonly running: boolean; readonly frames: number; readonly lost: number } {
    const { held, lost } = this.capture?.capture.frames ?? { held: 0, lost: 0 };
    return { running: this.capture !== null, frames: held, lost };
  }

  /** Starts a capture of the room, or restarts it, until somebody stops it or everybody has left. Throws Error with a sentence if too many rooms have one. */
  startCapture(): void {
    if (!this.mayCapture()) throw new Error(`The server captures ${MAX_CAPTURES} rooms at a time; one of them must end first.`);
    this.stopCapture();
    this.capture = plugCapture(this.lan, { wallClock: this.options.wallClock ?? Date.now });
  }

  /** Ends the capture and forgets the frames. */
  stopCapture(): void {
    this.capture?.dispose();
    this.capture = null;
  }

  /** The frames kept so far as a pcap file, or null if there is no capture. */
  captured(): CaptureFile | null {
    return this.capture?.capture.toPcap() ?? null;
  }

  dispose(): void {
    this.stopCapture();
    this.subscriptions.dispose();
    for (const vm of this.known.values()) forget(vm);
    this.known.clear();
    // Connections are reset while the switch still listens; the host ports close when the system gets to it.
    void this.gateway.dispose();
    this.socket.dispose();
  }

  private follow(): void {
    const vms = this.lan.vms();
    for (const [id, vm] of this.known) {
      if (vms.some((present) => present.id === id)) continue;
      forget(vm);
      this.known.delete(id);
    }
    for (const vm of vms) {
      const known = this.known.get(vm.id) ?? this.meet(vm);
      if (vm.attached) this.attend(vm, known);
      else if (known.listens) known.leaving ??= this.options.clock.setTimeout(() => this.closeForwards(vm.id, known), KEEP_LISTENING_MS);
      if (known.epoch !== vm.epoch) {
        known.epoch = vm.epoch;
        this.gateway.nudge(vm.id);
      }
    }
  }

  private meet(vm: LanVm): KnownVm {
    const known: KnownVm = { ping: null, epoch: vm.epoch, listens: false, leaving: null, closing: Promise.resolve() };
    this.known.set(vm.id, known);
    return known;
  }

  /** Somebody runs the VM now; before that, nobody would answer. */
  private attend(vm: LanVm, known: KnownVm): void {
    known.ping ??= this.startPing(vm.id);
    known.leaving?.dispose();
    known.leaving = null;
    if (known.listens) return;
    known.listens = true;
    void known.closing
      .then(() => this.openForwards(vm.id))
      .catch((error: unknown) => {
        // If the store is unsure, the relay is gone, and this gateway with it; the relay has already reported that.
        if (!(error instanceof StoreUnsure))
          this.options.log?.(`The ports of ${vm.name} could not be forwarded: ${error instanceof Error ? error.message : String(error)}`);
      });
  }

  /** Nobody has run the VM for a while. It keeps its host ports, as over a restart of the relay, and gets them again. */
  private closeForwards(vmId: VmId, known: KnownVm): void {
    known.leaving = null;
    known.listens = false;
    known.closing = Promise.all(this.gateway.forwards(vmId).map(({ hostPort }) => this.gateway.removeForward(hostPort))).then(() => undefined);
  }

  private startPing(vmId: VmId): Disposable {
    let firstAnswered: number | null = null;
    return this.gateway.startPing(vmId, this.options.pingMs ?? DEFAULT_PING_MS, ({ seq, rttMs }) => {
      // While a guest is still starting, nothing counts as lost: its first answer opens the strip.
      if (rttMs !== null) firstAnswered ??= seq;
      if (firstAnswered !== null && seq >= firstAnswered) this.lan.reportPing(vmId, seq, rttMs);
    });
  }

  /** Opens the forwards that the VM had before, or the default ones, and those that were asked for at the start. */
  private async openForwards(vmId: VmId): Promise<void> {
    const vm = this.lan.vms().find((present) => present.id === vmId);
    if (vm === undefined) return;
    const before = vm.forwards.map(({ guestPort, hostPort }) => ({ vmId: vm.id, guestPort, hostPort }));
    const defaults = DEFAULT_GUEST_PORTS.map((guestPort) => ({ vmId: vm.id, guestPort, hostPort: 0 }));
    for (const request of before.length > 0 ? before : defaults) await this.tryForward(request, true);
    for (const { hostPort, room, vm: wanted, guestPort } of this.options.forwards ?? []) {
      const isThis = room === this.lan.room && (wanted === vm.id || wanted === vm.name);
      const isOpen = before.some((forward) => forward.hostPort === hostPort);
      if (isThis && !isOpen) await this.tryForward({ vmId: vm.id, guestPort, hostPort }, false);
    }
    try {
      this.tellForwards(vm.id);
    } catch (error) {
      // A forward that would not survive a restart is removed; those that are stored stay.
      for (const { hostPort, guestPort } of this.gateway.forwards(vm.id)) {
        if (!before.some((stored) => stored.hostPort === hostPort && stored.guestPort === guestPort)) await this.gateway.removeForward(hostPort);
      }
      this.options.log?.(`No further ports of ${vm.name} are forwarded: ${forwardRefusal(error).message}`);
    }
  }

  private async tryForward(request: ForwardRequest, orAnyPort: boolean): Promise<void> {
    try {
      await this.gateway.addForward(request);
    } catch (error) {
      this.options.log?.(error instanceof Error ? error.message : String(error));
      if (orAnyPort && request.hostPort !== 0) await this.tryForward({ ...request, hostPort: 0 }, false);
    }
  }

  /** Throws what Lan.setForwards throws. */
  private tellForwards(vmId: string, without?: number): void {
    const vm = this.lan.vms().find((present) => present.id === vmId);
    if (vm === undefined || !this.known.has(vmId)) return;
    this.lan.setForwards(
      vm.id,
      this.gateway
        .forwards(vmId)
        .filter(({ hostPort }) => hostPort !== without)
        .map(({ guestPort, hostPort }) => ({ guestPort, hostPort })),
    );
  }
}

function forget(vm: KnownVm): void {
  vm.ping?.dispose();
  vm.leaving?.dispose();
}

function goesOut(rooms: readonly RoomName[] | 'all', room: RoomName): boolean {
  return rooms === 'all' || rooms.includes(room);
}

function forwardRefusal(error: unknown): ForwardError {
  if (!(error instanceof StoreRefusal)) throw error;
  return new ForwardError(error.sentence.replace(/\.$/, ''));
}
