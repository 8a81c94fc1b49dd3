/**
 * Where guests may go outside of their LAN. A rule is
 *
 *   [tcp:|udp:] TARGET [:PORT[-PORT]]      TARGET := * | ADDRESS | ADDRESS/PREFIX | host
 *
 * `*` is every address outside; `host` is the host machine's own loopback, which guests see under the gateway's address
 * and which no other rule opens. Examples: `*:443`, `udp:9.9.9.9:53`, `192.168.7.0/24`, `host:8080`.
 */
import { formatIpv4Address, parseIpv4Address } from './address.ts';

/** A rule that cannot be read; the message says how one looks. */
export class OutboundRuleError extends Error {
  override readonly name = 'OutboundRuleError';
}

export type OutboundVerdict = { readonly allowed: true; readonly address: string } | { readonly allowed: false };

export interface OutboundPolicy {
  /** `destination` as the guest wrote it. If allowed, with the address to use from the host machine. */
  judge(protocol: 'tcp' | 'udp', destination: number, port: number): OutboundVerdict;
}

interface Rule {
  readonly protocol: 'tcp' | 'udp' | null;
  readonly target: 'host' | { readonly network: number; readonly mask: number };
  readonly fromPort: number;
  readonly toPort: number;
}

const DENIED: OutboundVerdict = { allowed: false };
const LOOPBACK = '127.0.0.1';

/** "This network", loopback, link-local (cloud metadata lives there), multicast and reserved: never outside. */
const NEVER_OUTSIDE = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'].map((text) => parseNetwork(text));

function parseNetwork(text: string): { network: number; mask: number } {
  const [addressText = '', prefixText = '32', ...rest] = text.split('/');
  const address = parseIpv4Address(addressText);
  if (address === null || rest.length > 0 || !/^\d{1,2}$/.test(prefixText) || Number(prefixText) > 32) {
    throw new OutboundRuleError(`"${text}" is not an address such as 10.1.2.3 or a network such as 10.1.0.0/16`);
  }
  const prefix = Number(prefixText);
  const mask = prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0;
  return { network: (address & mask) >>> 0, mask };
}

function parseRule(text: string): Rule {
  const match = /^(?:(tcp|udp):)?([^:]+)(?::(\d{1,5})(?:-(\d{1,5}))?)?$/.exec(text.trim());
  const [, protocol, target = '', fromText, toText] = match ?? [];
  const fromPort = fromText === undefined ? 1 : Number(fromText);
  const toPort = fromText === undefined ? 65_535 : Number(toText ?? fromText);
  if (match === null || fromPort < 1 || toPort > 65_535 || fromPort > toPort) {
    throw new OutboundRuleError(`"${text}" is not an outbound rule: write [tcp:|udp:]TARGET[:PORT[-PORT]], with *, an address, a network or "host" as TARGET`);
  }
  return {
    protocol: protocol === 'tcp' || protocol === 'udp' ? protocol : null,
    target: target === 'host' ? 'host' : target === '*' ? { network: 0, mask: 0 } : parseNetwork(target),
    fromPort,
    toPort,
  };
}

/**
 * `rules`: none means `*`. `gatewayIp` and `netmask`: the LAN, which is never outside. Throws OutboundRuleError.
 */
export function createOutboundPolicy(rules: readonly string[], gatewayIp: number, netmask: number): OutboundPolicy {
  const parsed = (rules.length === 0 ? ['*'] : rules).map(parseRule);
  const lan = { network: (gatewayIp & netmask) >>> 0, mask: netmask };
  return {
    judge(protocol, destination, port) {
      const toHost = destination === gatewayIp;
      if (!toHost && [lan, ...NEVER_OUTSIDE].some(({ network, mask }) => (destination & mask) >>> 0 === network)) return DENIED;
      const allowed = parsed.some(
        (rule) =>
          (rule.protocol === null || rule.protocol === protocol) &&
          port >= rule.fromPort &&
          port <= rule.toPort &&
          (rule.target === 'host' ? toHost : !toHost && (destination & rule.target.mask) >>> 0 === rule.target.network),
      );
      if (!allowed) return DENIED;
      return { allowed: true, address: toHost ? LOOPBACK : formatIpv4Address(destination) };
    },
  };
}
