/** Tells networks, and the guest itself, where a VM is after it has moved. */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';
import { gratuitousArp, rarpAnnouncement } from './announcement.ts';
import { GATEWAY_IP, GATEWAY_MAC } from './lan.ts';
import type { Switch } from './switch.ts';
import type { VmPort } from './vm-port.ts';

/** When real networks are told of a move; the first announcement may be lost while they still learn. */
const ANNOUNCE_AT_MS = [0, 50, 150, 300, 550];

export class Announcer implements Disposable {
  private readonly mac: MacAddress;
  private readonly ip: Ipv4Address;
  private readonly lanSwitch: Switch;
  private readonly clock: Clock;
  private readonly timers = new Set<Disposable>();

  constructor({ mac, ip }: { readonly mac: MacAddress; readonly ip: Ipv4Address }, lanSwitch: Switch, clock: Clock) {
    this.mac = mac;
    this.ip = ip;
    this.lanSwitch = lanSwitch;
    this.clock = clock;
  }

  /** The VM is behind this port at another host now. */
  moved(port: VmPort): void {
    this.tellNetworks();
    if (this.lanSwitch.hasUplink) for (const delay of ANNOUNCE_AT_MS.slice(1)) this.tellLater(delay);
    // Updates the guest's own view of the gateway, after the frames that waited for the guest.
    if (this.lanSwitch.knows(GATEWAY_MAC)) port.receive(gratuitousArp(GATEWAY_MAC, GATEWAY_IP, this.mac));
  }

  dispose(): void {
    for (const timer of this.timers) timer.dispose();
    this.timers.clear();
  }

  private tellNetworks(): void {
    this.lanSwitch.announce(gratuitousArp(this.mac, this.ip));
    this.lanSwitch.announce(rarpAnnouncement(this.mac));
  }

  private tellLater(ms: number): void {
    const timer = this.clock.setTimeout(() => {
      this.timers.delete(timer);
      this.tellNetworks();
    }, ms);
    this.timers.add(timer);
  }
}
