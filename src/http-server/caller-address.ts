import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';

/**
 * The caller, for limits per address: an IPv4 address, or the /64 of an IPv6 address, because one household or server
 * commonly has a whole /64. Null for 127.0.0.1 and ::1: a proxy on this machine speaks for everybody.
 */
export function callerAddress(remoteAddress: string | undefined): string | null {
  const address = (remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (address === '127.0.0.1' || address === '::1') return null;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = tail === undefined ? before : [...before, ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0'), ...after];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

/** The sender of this request, for limits per address; null: a sender without such limits. */
export type CallerOf = (request: Pick<IncomingMessage, 'headers' | 'socket'>) => string | null;

/**
 * Behind a declared proxy on this machine, the caller is the last entry of X-Forwarded-For, which the proxy adds. The
 * caller may have written the entries before it. Without a declared proxy, the header means nothing.
 */
export function callersOf(behindProxy: boolean): CallerOf {
  return ({ headers, socket }) => {
    const direct = callerAddress(socket.remoteAddress);
    if (!behindProxy || direct !== null) return direct;
    const named = [headers['x-forwarded-for'] ?? ''].flat().join(',').split(',').at(-1)?.trim() ?? '';
    return isIP(named) === 0 ? null : callerAddress(named);
  };
}
