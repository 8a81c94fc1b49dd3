/**
 * Addresses as numbers, so that a packet's path compares and hashes without making strings: an IPv4 address is an
 * unsigned 32-bit number, a MAC address a 48-bit one (both fit a double exactly).
 */
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';

export const BROADCAST_MAC = 0xffff_ffff_ffff;
export const BROADCAST_IP = 0xffff_ffff;
const MAC_HIGH = 2 ** 32;

/** `10.0.0.1` as a number; null if `text` is not a dotted quad. */
export function parseIpv4Address(text: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  let value = 0;
  for (const part of match.slice(1)) {
    const octet = Number(part);
    if (octet > 255) return null;
    value = value * 256 + octet;
  }
  return value;
}

export function formatIpv4Address(address: number): Ipv4Address {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}` as Ipv4Address;
}

/** `02:00:00:00:00:01` as a number; null if `text` is not six colon-separated octets. */
export function parseMacAddress(text: string): number | null {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) return null;
  return Number.parseInt(text.replaceAll(':', ''), 16);
}

export function formatMacAddress(mac: number): MacAddress {
  return (mac.toString(16).padStart(12, '0').match(/../g) ?? []).join(':') as MacAddress;
}

/** Like parseIpv4Address, for what our own configuration says. Throws RangeError naming the value. */
export function ipv4FromOption(text: string, what: string): number {
  const value = parseIpv4Address(text);
  if (value === null) throw new RangeError(`${what} must be an IPv4 address such as 10.0.0.1, not "${text}"`);
  return value;
}

/** Like parseMacAddress, for what our own configuration says. Throws RangeError naming the value. */
export function macFromOption(text: string, what: string): number {
  const value = parseMacAddress(text);
  if (value === null) throw new RangeError(`${what} must be a MAC address such as 02:00:00:00:00:01, not "${text}"`);
  return value;
}

export function readMac(view: DataView, at: number): number {
  return view.getUint16(at) * MAC_HIGH + view.getUint32(at + 2);
}

export function writeMac(view: DataView, at: number, mac: number): void {
  view.setUint16(at, Math.floor(mac / MAC_HIGH));
  view.setUint32(at + 2, mac % MAC_HIGH);
}

/** The group bit: broadcast and multicast addresses, which no station may have as its own. */
export function isGroupMac(mac: number): boolean {
  return (Math.floor(mac / 2 ** 40) & 1) === 1;
}
