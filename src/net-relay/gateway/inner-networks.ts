/**
 * Addresses outside of the LAN that are not the Internet: a private network, or a service that trusts every request
 * from this machine. No general rule opens them (GW57).
 */
import { parseIpv4Address } from './address.ts';

/** IPv4 addresses `address` with `(address & mask) >>> 0 === network`, as unsigned 32 bits. */
export interface Network {
  readonly network: number;
  readonly mask: number;
}

/** Throws RangeError for a text that is neither an address nor ADDRESS/PREFIX. */
export function parseNetwork(text: string): Network {
  const [addressText = '', prefixText = '32', ...rest] = text.split('/');
  const address = parseIpv4Address(addressText);
  if (address === null || rest.length > 0 || !/^\d{1,2}$/.test(prefixText) || Number(prefixText) > 32) {
    throw new RangeError(`"${text}" is not an address such as 10.1.2.3 or a network such as 10.1.0.0/16`);
  }
  const prefix = Number(prefixText);
  const mask = prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0;
  return { network: (address & mask) >>> 0, mask };
}

export function contains({ network, mask }: Network, address: number): boolean {
  return (address & mask) >>> 0 === network;
}

/** `inner` lies within `outer`, or is the same. */
export function isWithin(inner: Network, outer: Network): boolean {
  return inner.mask >= outer.mask && contains(outer, inner.network);
}

/** Private (RFC 1918), shared by a provider's customers (RFC 6598), for protocols (RFC 6890), for benchmarks (RFC 2544). */
const BY_A_RANGE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '192.0.0.0/24', '198.18.0.0/15'].map(parseNetwork);

/** Link-local, where most clouds keep their metadata; the others' metadata: Azure, Alibaba, Oracle. */
const BY_ADDRESS = ['169.254.0.0/16', '168.63.129.16', '100.100.100.200', '192.0.0.192'].map(parseNetwork);

/**
 * The network that a rule must lie within to open `address`: the address itself, an inner network, or everything.
 * `isOwn`: the address belongs to the server's own machine.
 */
export function openedBy(address: number, isOwn: boolean): Network | null {
  if (isOwn || BY_ADDRESS.some((network) => contains(network, address))) return { network: address, mask: 0xffff_ffff };
  return BY_A_RANGE.find((network) => contains(network, address)) ?? null;
}
