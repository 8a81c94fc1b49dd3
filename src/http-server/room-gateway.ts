/**
 * One gateway for each room: its ports 22 and 80 (and what --forward asks for) lead from this machine into each VM, and
 * each VM is pinged on a beat, whose results go back to the room.
 */
import type { Clock } from '../migration/ports.ts';
import { createGateway, DEFAULT_GUEST_PORTS, type Gateway, type GatewayOptions } from '../net-relay/gateway/gateway.ts';
import { GATEWAY_IP, GATEWAY_MAC, LAN_NETMASK, type Lan, type LanVm, type OpenGateway } from '../net-relay/lan.ts';
import type { PortForward } from '../net-relay/relay-protocol.ts';
import { disposable, type Disposable } from '../shared/disposable.ts';
import type { VmId } from '../shared/ids.ts';
import type { ForwardOption } from './options.ts';

export interface RoomGatewayOptions {
  readonly clock: Clock;
  readonly pingMs: number;
  /** Address of this machine on which forwards listen. */
  readonly forwardAddress: string;
  /** Wanted beside the default ones. */
  readonly forwards: readonly ForwardOption[];
  readonly log: (line: string) => void;
  /** The host machine's network, if not the real one. */
  readonly network?: GatewayOptions['network'];
}

/** The `openGateway` of a relay. */
export function openRoomGateways(options: RoomGatewayOptions): OpenGateway {
  return (lan) => new RoomGateway(lan, options);
}

class RoomGateway implements Disposable {
  private readonly lan: Lan;
  private readonly options: RoomGatewayOptions;
  private readonly gateway: Gateway;
  private readonly vms = new Map<VmId, ServedVm>();
  private readonly open: Disposable[];

  constructor(lan: Lan, options: RoomGatewayOptions) {
    this.lan = lan;
    this.options = options;
    let toSwitch: (frame: Uint8Array) => void = () => undefined;
    const gateway = createGateway({
      mac: GATEWAY_MAC,
      ip: GATEWAY_IP,
      netmask: LAN_NETMASK,
      leases: {
        all: () => lan.vms().map(({ id, name, mac, ip }) => ({ vmId: id, name, mac, ip })),
        onChange: (listener) => lan.onVms(listener),
      },
      clock: options.clock,
      send: (frame) => toSwitch(frame),
      forwardAddress: options.forwardAddress,
      network: options.network,
      log: options.log,
    });
    this.gateway = gateway;
    const socket = lan.plug(gateway, { mac: GATEWAY_MAC });
    toSwitch = (frame) => socket.send(frame);
    // After the gateway's own listener: when this one is called, the gateway knows the new VMs.
    const subscription = lan.onVms(() => this.look());
    this.open = [subscription, socket, disposable(() => void gateway.dispose())];
    this.look();
  }

  dispose(): void {
    for (const vm of this.vms.values()) vm.ping?.dispose();
    this.vms.clear();
    for (const each of this.open) each.dispose();
  }

  private look(): void {
    const present = this.lan.vms();
    for (const [id, served] of this.vms) {
      if (present.some((vm) => vm.id === id)) continue;
      served.ping?.dispose();
      this.vms.delete(id);
    }
    for (const vm of present) this.serve(vm);
  }

  private serve(vm: LanVm): void {
    let served = this.vms.get(vm.id);
    if (served === undefined) {
      served = { attached: false, epoch: vm.epoch, ping: null };
      this.vms.set(vm.id, served);
      void this.forward(vm, served);
    }
    // Until its first port there is nobody to ping; afterwards a VM that does not answer is news.
    if (vm.attached && served.ping === null) {
      served.ping = this.gateway.startPing(vm.id, this.options.pingMs, ({ seq, rttMs }) => this.lan.reportPing(vm.id, seq, rttMs));
    }
    // Whatever was sent to a VM while it had no port is lost; now is the time to repeat it.
    if (vm.attached && (!served.attached || vm.epoch !== served.epoch)) this.gateway.nudge(vm.id);
    served.attached = vm.attached;
    served.epoch = vm.epoch;
  }

  /** Opens the VM's host ports: the same ones as before a restart where they are still free. */
  private async forward(vm: LanVm, served: ServedVm): Promise<void> {
    const before = (guestPort: number): number => vm.forwards.find((each) => each.guestPort === guestPort)?.hostPort ?? 0;
    const wanted = [
      ...DEFAULT_GUEST_PORTS.map((guestPort) => ({ guestPort, hostPort: before(guestPort), exactly: false })),
      ...this.options.forwards.filter((each) => each.vm === vm.id || each.vm === vm.name).map((each) => ({ ...each, exactly: true })),
    ];
    const opened: PortForward[] = [];
    for (const { guestPort, hostPort, exactly } of wanted) {
      const port = await this.openPort(vm, guestPort, hostPort, exactly);
      if (port !== null) opened.push({ guestPort, hostPort: port });
    }
    if (this.vms.get(vm.id) === served) this.lan.setForwards(vm.id, opened);
  }

  private async openPort(vm: LanVm, guestPort: number, hostPort: number, exactly: boolean): Promise<number | null> {
    try {
      return (await this.gateway.addForward({ vmId: vm.id, guestPort, hostPort })).hostPort;
    } catch (error) {
      if (!exactly && hostPort !== 0) return this.openPort(vm, guestPort, 0, false);
      this.options.log(`Room ${this.lan.room}, ${vm.name}: ${error instanceof Error ? error.message : String(error)}.`);
      return null;
    }
  }
}

interface ServedVm {
  attached: boolean;
  epoch: number;
  ping: Disposable | null;
}
