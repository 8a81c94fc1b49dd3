/**
 * Who is on the LAN. The lease table (the relay's) is the only thing the gateway learns from: a guest that answers for
 * somebody else, or for the gateway, changes nothing.
 */
import type { Disposable } from '../../shared/disposable.ts';
import { ipv4FromOption, macFromOption } from './address.ts';

/** One station that may talk to the gateway; both addresses are its own for life. */
export interface Lease {
  readonly vmId: string;
  readonly name: string;
  readonly mac: string;
  readonly ip: string;
}

/** The relay's table of VMs. */
export interface LeaseTable {
  all(): Iterable<Lease>;
  /** Called after a VM came, went, or was renamed. */
  onChange(listener: () => void): Disposable;
}

export interface Guest {
  readonly vmId: string;
  readonly name: string;
  readonly mac: number;
  readonly ip: number;
}

/** The lease table, indexed for a packet's path. */
export class Guests implements Disposable {
  private ips = new Map<number, Guest>();
  private macs = new Map<number, Guest>();
  private ids = new Map<string, Guest>();
  private names = new Map<string, Guest>();
  private readonly table: LeaseTable;
  private readonly onGone: (guest: Guest) => void;
  private readonly subscription: Disposable;

  /** `onGone`: a VM's lease ended. */
  constructor(table: LeaseTable, onGone: (guest: Guest) => void) {
    this.table = table;
    this.onGone = onGone;
    this.subscription = table.onChange(() => this.rebuild());
    this.rebuild();
  }

  byIp(ip: number): Guest | undefined {
    return this.ips.get(ip);
  }

  byMac(mac: number): Guest | undefined {
    return this.macs.get(mac);
  }

  byId(vmId: string): Guest | undefined {
    return this.ids.get(vmId);
  }

  /** Names are compared as in DNS, ignoring case. */
  byName(name: string): Guest | undefined {
    return this.names.get(name.toLowerCase());
  }

  dispose(): void {
    this.subscription.dispose();
  }

  private rebuild(): void {
    const before = this.ids;
    this.ips = new Map();
    this.macs = new Map();
    this.ids = new Map();
    this.names = new Map();
    for (const lease of this.table.all()) {
      const guest: Guest = {
        vmId: lease.vmId,
        name: lease.name,
        mac: macFromOption(lease.mac, 'The MAC address of a VM'),
        ip: ipv4FromOption(lease.ip, 'The IP address of a VM'),
      };
      this.ips.set(guest.ip, guest);
      this.macs.set(guest.mac, guest);
      this.ids.set(guest.vmId, guest);
      this.names.set(dnsLabel(guest.name), guest);
    }
    for (const guest of before.values()) if (!this.ids.has(guest.vmId)) this.onGone(guest);
  }
}

/** A VM's display name as the host name that DNS and DHCP give it: letters, digits and hyphens. */
export function dnsLabel(name: string): string {
  return (
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-+|-+$/g, '')
      .slice(0, 63) || 'guest'
  );
}
