/** Names and addresses that are free in a room: what a new VM gets for life. */
import { hex } from '../../shared/hex.ts';
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';
import { lanAddress } from './lan.ts';

/** Addresses .2 to .253; .254 is the machine's own, on a TAP (lan.ts). */
const FIRST_VM_ADDRESS = 2;
const LAST_VM_ADDRESS = 253;
export const MAX_VMS = LAST_VM_ADDRESS - FIRST_VM_ADDRESS + 1;

export function freeVmName(taken: ReadonlySet<string>): string {
  for (let number = 1; ; number++) if (!taken.has(`pc${number}`)) return `pc${number}`;
}

/** `randomBytes`: cryptographically strong. */
export function freeMac(taken: ReadonlySet<MacAddress>, randomBytes: (count: number) => Uint8Array): MacAddress {
  for (;;) {
    const mac = `02:5a:${hex(randomBytes(4), ':')}` as MacAddress;
    if (!taken.has(mac)) return mac;
  }
}

/** The addresses of one room's LAN. */
export class VmAddresses {
  private next = FIRST_VM_ADDRESS;

  /** The address unused for longest, so that nobody who still remembers an address soon meets another machine there; null if all are taken. */
  free(taken: ReadonlySet<Ipv4Address>): Ipv4Address | null {
    for (let tries = 0; tries < MAX_VMS; tries++) {
      const address = lanAddress(this.next);
      this.next = this.next === LAST_VM_ADDRESS ? FIRST_VM_ADDRESS : this.next + 1;
      if (!taken.has(address)) return address;
    }
    return null;
  }
}
