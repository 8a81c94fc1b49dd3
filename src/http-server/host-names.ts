/**
 * The host names of this server. Once a page of another site is loaded, it can make its own name resolve to this machine
 * (DNS rebinding); the browser then takes us for that site and lets the page read our answers. The browser still sends
 * the site's name as Host, so we refuse a name that is not ours. An address needs no check: nobody can rebind one.
 */
import type { ServerResponse } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

/** 421 Misdirected Request (RFC 9110, 15.5.20): the request was not meant for this server. */
export const FOREIGN_HOST_STATUS = 421;

/** True if a request with this Host header may be answered. */
export type HostCheck = (header: string | undefined) => boolean;

/** Allows loopback names, every literal IP address, and these names; case and the port do not matter. */
export function allowHosts(names: readonly string[]): HostCheck {
  const allowed = new Set(names.map((name) => hostName(name)).filter((name) => name !== null));
  return (header) => {
    // Only HTTP/1.0 may leave it out; browsers never do.
    if (header === undefined) return true;
    const name = namedHost(header);
    if (name === null) return false;
    return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost') || allowed.has(name);
  };
}

/** A host name as browsers send it: in ASCII, lower case, without the root's dot. Null if the text is no host name. */
export function hostName(text: string): string | null {
  if (isIPv6(text)) return text.toLowerCase();
  if (/[\s/:@?#*%\\[\]]/.test(text)) return null;
  const name = domainToASCII(text).replace(/\.$/, '');
  return /^[a-z0-9._-]{1,253}$/.test(name) ? name : null;
}

/** The host of a Host header, without its port and an IPv6 address' brackets. Null if the header is malformed. */
function namedHost(header: string): string | null {
  const [, address, name] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+))(?::\d{0,5})?$/.exec(header) ?? [];
  if (address !== undefined) return isIPv6(address) ? address : null;
  return name === undefined ? null : hostName(name);
}

/** One sentence that says what to do. Safe as plain text: it repeats only a host name of the header. */
export function foreignHostSentence(header: string | undefined): string {
  const name = namedHost(header ?? '');
  if (name === null) return 'This request does not name a host this server knows; open the address that the server printed.\n';
  return `This server does not go by the name ${name}; open the address that it printed, or start it with --allowed-host ${name}.\n`;
}

export function refuseForeignHost(header: string | undefined, response: ServerResponse): void {
  response.writeHead(FOREIGN_HOST_STATUS, {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
    Connection: 'close',
  });
  response.end(foreignHostSentence(header));
}
