/**
 * Where guests may go outside of their LAN. A rule is
 *
 *   [tcp:|udp:] TARGET [:PORT[-PORT]]      TARGET := * | ADDRESS | ADDRESS/PREFIX | host
 *
 * `*` is every address of the Internet; `host` is the host machine's own loopback, which guests see under the gateway's
 * address and which no other rule opens. Inner networks need a rule that lies within them. Cloud metadata and the host
 * machine's other addresses need a rule that names the exact address (inner-networks.ts). Examples: `*:443`,
 * `udp:9.9.9.9:53`, `192.168.7.0/24`, `host:8080`.
 *
 * A guest connects to addresses, never to names: the address that a name resolves to is judged like any other address.
 */
import { formatIpv4Address } from './address.ts';
import { contains, isWithin, openedBy, parseNetwork, type Network } from './inner-networks.ts';

/** A rule that cannot be parsed; the message says what a rule looks like. */
export class OutboundRuleError extends Error {
  override readonly name = 'OutboundRuleError';
}

type OutboundVerdict =
  { readonly allowed: true; readonly address: string } | { readonly allowed: false; readonly why: 'outbound-not-allowed' | 'outbound-inner' };

export interface OutboundPolicy {
  /** `destination` as the guest wrote it. If allowed, with the address to use from the host machine. */
  judge(protocol: 'tcp' | 'udp', destination: number, port: number): OutboundVerdict;
}

interface Rule {
  readonly protocol: 'tcp' | 'udp' | null;
  readonly target: 'host' | Network;
  readonly fromPort: number;
  readonly toPort: number;
}

const DENIED: OutboundVerdict = { allowed: false, why: 'outbound-not-allowed' };
const DENIED_INNER: OutboundVerdict = { allowed: false, why: 'outbound-inner' };
const LOOPBACK = '127.0.0.1';

/** "This network", loopback, multicast and reserved: never outside. */
const NEVER_OUTSIDE = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4'].map(parseNetwork);

function parseTarget(text: string): Network {
  try {
    return parseNetwork(text);
  } catch (error) {
    if (error instanceof RangeError) throw new OutboundRuleError(error.message, { cause: error });
    throw error;
  }
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
    target: target === 'host' ? 'host' : target === '*' ? { network: 0, mask: 0 } : parseTarget(target),
    fromPort,
    toPort,
  };
}

/**
 * `rules`: none means `*`. `gatewayIp` and `netmask`: the LAN, which is never outside. `ownAddresses`: those of the host
 * machine, asked for at each verdict. Throws OutboundRuleError.
 */
export function createOutboundPolicy(
  rules: readonly string[],
  gatewayIp: number,
  netmask: number,
  ownAddresses: () => readonly string[] = () => [],
): OutboundPolicy {
  const parsed = (rules.length === 0 ? ['*'] : rules).map(parseRule);
  const never = [{ network: (gatewayIp & netmask) >>> 0, mask: netmask }, ...NEVER_OUTSIDE];
  return {
    judge(protocol, destination, port) {
      const matching = parsed.filter((rule) => (rule.protocol === null || rule.protocol === protocol) && port >= rule.fromPort && port <= rule.toPort);
      if (destination === gatewayIp) return matching.some(({ target }) => target === 'host') ? { allowed: true, address: LOOPBACK } : DENIED;
      if (never.some((network) => contains(network, destination))) return DENIED;
      const networks = matching
        .map(({ target }) => target)
        .filter((target) => target !== 'host')
        .filter((target) => contains(target, destination));
      if (networks.length === 0) return DENIED;
      const address = formatIpv4Address(destination);
      const least = openedBy(destination, ownAddresses().includes(address));
      return least === null || networks.some((network) => isWithin(network, least)) ? { allowed: true, address } : DENIED_INNER;
    },
  };
}
