/**
 * The user-mode gateway of a room: one station on the room's switch. It answers ARP and ping, serves DHCP and DNS,
 * forwards TCP ports of the host machine into the guests, lets guests out if that is allowed, and pings guests on a
 * beat. IPv4 only: IPv6 frames are dropped and counted.
 *
 * It knows guests from the lease table alone, the host machine's network from a HostNetwork, time from a Clock. What it
 * drops or refuses is counted under a name of gateway-counters.ts. The rules are in PROTOCOL.md (GW1…); `room-gateway.ts` joins a
 * gateway to a room of the relay.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Counters } from '../../shared/counters.ts';
import type { Station } from '../lan/station.ts';
import { ipv4FromOption, macFromOption } from './address.ts';
import type { CounterName } from './gateway-counters.ts';
import type { PingSample } from './echo-prober.ts';
import type { HostNetwork } from './host-network.ts';
import { IpServices } from './ip-services.ts';
import { Guests, type LeaseTable } from './leases.ts';
import { LinkLayer } from './link-layer.ts';
import { createNodeHostNetwork } from './node-host-network.ts';
import { createOutboundPolicy } from './outbound-policy.ts';
import { PacketOutput } from './packet-output.ts';
import { PortForwards, type Forward, type ForwardRequest } from './port-forwards.ts';

/** Forwarded for every VM unless asked otherwise: SSH and the guest's web server. */
export const DEFAULT_GUEST_PORTS: readonly number[] = [22, 80];
/** Frames that arrive while one is being sent; a switch delivers in a loop and never nests that deep. */
const MAX_REENTRANT_FRAMES = 4096;
const DEFAULT_DOMAIN = 'tabmotion.internal';
/** The names under which guests find the gateway, and behind it the host machine. */
const OWN_NAMES: ReadonlySet<string> = new Set(['gateway', 'host']);

export interface GatewayOptions {
  /** The gateway's own addresses, as text. */
  readonly mac: string;
  readonly ip: string;
  readonly netmask: string;
  readonly leases: LeaseTable;
  readonly clock: Clock;
  /** Hands a frame to the switch. */
  readonly send: (frame: Uint8Array) => void;
  /** Domain that DHCP and DNS give to the room's names. */
  readonly domain?: string;
  /** Further names of the room: its IP address, or null. */
  readonly names?: (name: string) => string | null;
  /** Host address on which forwards listen; default 127.0.0.1. */
  readonly forwardAddress?: string;
  /** Rules of outbound-policy.ts; an empty list allows every address of the Internet. Absent or null: guests stay inside. */
  readonly outbound?: readonly string[] | null;
  /** True if a real network (a TAP) is on the switch: its machines may then talk to the gateway. */
  readonly learnNeighbours?: boolean;
  readonly network?: HostNetwork;
  /** Uniform in 0..2^32-1; default cryptographic. */
  readonly random32?: () => number;
  /** One sentence for the server's log. */
  readonly log?: (line: string) => void;
}

type GatewayStats = Partial<Record<CounterName | 'tcp-open' | 'tcp-time-wait' | 'tcp-buffer-bytes', number>>;

export interface Gateway extends Station {
  /** Rejects with ForwardError. Host port 0: any free one. */
  addForward(request: ForwardRequest): Promise<Forward>;
  /** By host port. False if there is none. */
  removeForward(hostPort: number): Promise<boolean>;
  forwards(vmId?: string): Forward[];
  /** Pings a guest every `beatMs`; each beat is reported once. Throws RangeError for an unknown VM. */
  startPing(vmId: string, beatMs: number, onSample: (sample: PingSample) => void): Disposable;
  /** The VM can be reached again (switchover over, port attached): connections that wait to repeat something try again now. */
  nudge(vmId: string): void;
  /** Counters by name (gateway-counters.ts), and what is open now. */
  stats(): GatewayStats;
  /** Resets every connection and closes every port. */
  dispose(): Promise<void>;
}

/** Throws RangeError or OutboundRuleError for an option that cannot be read. */
export function createGateway(options: GatewayOptions): Gateway {
  return new UserModeGateway(options);
}

class UserModeGateway implements Gateway {
  private readonly counters = new Counters<CounterName>();
  private readonly guests: Guests;
  private readonly link: LinkLayer;
  private readonly services: IpServices;
  private readonly portForwards: PortForwards;
  private readonly log: (line: string) => void;
  private sending = 0;
  private readonly deferred: Uint8Array[] = [];
  private disposed = false;

  constructor(options: GatewayOptions) {
    const { log, names } = options;
    const mac = macFromOption(options.mac, "The gateway's MAC address");
    const ip = ipv4FromOption(options.ip, "The gateway's IP address");
    const netmask = ipv4FromOption(options.netmask, 'The netmask');
    const network = options.network ?? createNodeHostNetwork((error) => this.onDefect('a host socket', error));
    const clock: Clock = {
      now: () => options.clock.now(),
      setTimeout: (callback, ms) => options.clock.setTimeout(() => this.guard('a timer', callback), ms),
    };
    const random32 = options.random32 ?? (() => randomInt(0x1_0000_0000));
    const outbound = options.outbound ?? null;
    const { counters } = this;
    this.log = log ?? (() => undefined);
    this.guests = new Guests(options.leases, (guest) => {
      this.services.forgetGuest(guest.ip);
      void this.portForwards.removeAllOf(guest.vmId);
    });
    const output = new PacketOutput(
      mac,
      (frame) => this.deliver(frame, options.send),
      (to) => this.link.resolve(to),
      counters,
      random32(),
    );
    this.link = new LinkLayer({
      mac,
      ip,
      netmask,
      guests: this.guests,
      learnNeighbours: options.learnNeighbours ?? false,
      counters,
      send: (frame) => output.send(frame),
      onPacket: (packet, sourceMac, group) => this.services.receive(packet, sourceMac, group),
    });
    this.services = new IpServices({
      ip,
      netmask,
      domain: options.domain ?? DEFAULT_DOMAIN,
      clock,
      random32,
      network,
      policy: outbound === null ? null : createOutboundPolicy(outbound, ip, netmask, () => network.ownAddresses()),
      otherName: (name) => {
        const address = names?.(name) ?? null;
        if (address !== null) return ipv4FromOption(address, `The address of "${name}"`);
        return OWN_NAMES.has(name) ? ip : null;
      },
      guests: this.guests,
      output,
      counters,
    });
    this.portForwards = new PortForwards({
      network,
      address: options.forwardAddress ?? '127.0.0.1',
      counters,
      guest: (vmId) => this.guests.byId(vmId),
      connect: (guestIp, guestPort, handlers) => this.services.tcp.connect(ip, guestIp, guestPort, handlers),
    });
  }

  receive(frame: Uint8Array): void {
    if (this.disposed) return;
    if (this.sending > 0) {
      this.defer(frame);
      return;
    }
    this.counters.add('frames-in');
    this.counters.add('bytes-in', frame.length);
    this.guard('a frame', () => this.link.receive(frame));
  }

  addForward(request: ForwardRequest): Promise<Forward> {
    return this.portForwards.add(request);
  }

  removeForward(hostPort: number): Promise<boolean> {
    return this.portForwards.remove(hostPort);
  }

  forwards(vmId?: string): Forward[] {
    return this.portForwards.of(vmId);
  }

  startPing(vmId: string, beatMs: number, onSample: (sample: PingSample) => void): Disposable {
    const guest = this.guests.byId(vmId);
    if (guest === undefined) throw new RangeError('There is no such VM to ping');
    return this.services.prober.start(guest.ip, beatMs, onSample);
  }

  nudge(vmId: string): void {
    const guest = this.guests.byId(vmId);
    if (guest === undefined) return;
    for (const connection of this.services.tcp.connections(guest.ip)) connection.nudge();
  }

  stats(): GatewayStats {
    const { tcp } = this.services;
    return { ...this.counters.toJSON(), 'tcp-open': tcp.open, 'tcp-time-wait': tcp.waiting, 'tcp-buffer-bytes': tcp.allocated };
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.services.dispose();
    this.disposed = true;
    this.guests.dispose();
    await this.portForwards.dispose();
  }

  /** A bug in the gateway must not bring down the switch or the server, on which other rooms depend. */
  private guard(what: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.onDefect(what, error);
    }
  }

  private onDefect(what: string, error: unknown): void {
    this.counters.add('internal-errors');
    this.log(`The gateway failed on ${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }

  private deliver(frame: Uint8Array, send: (frame: Uint8Array) => void): void {
    this.sending++;
    try {
      send(frame);
    } finally {
      this.sending--;
    }
  }

  /** A station answered during our own call to the switch: its frame waits until that call is done. */
  private defer(frame: Uint8Array): void {
    if (this.deferred.length >= MAX_REENTRANT_FRAMES) {
      this.counters.add('reentrant-overflow');
      return;
    }
    this.deferred.push(frame);
    if (this.deferred.length > 1) return;
    queueMicrotask(() => {
      for (const waiting of this.deferred.splice(0)) this.receive(waiting);
    });
  }
}
