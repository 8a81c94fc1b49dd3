import { isIPv6 } from 'node:net';
import type { networkInterfaces } from 'node:os';

/** `http://host:port`, with an IPv6 address in brackets. */
export function origin(secure: boolean, host: string, port: number): string {
  return `${secure ? 'https' : 'http'}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** The name under which people on this machine open the page; other addresses keep their own. */
export function displayHost(host: string): string {
  return host === '127.0.0.1' || host === '::1' || host === '0.0.0.0' || host === '::' ? 'localhost' : host;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** The addresses of this machine that others may use when the server listens on all of them. */
export function outsideAddresses(interfaces: ReturnType<typeof networkInterfaces>): string[] {
  return Object.values(interfaces)
    .flatMap((entries) => entries ?? [])
    .filter((entry) => !entry.internal && entry.family === 'IPv4')
    .map((entry) => entry.address);
}

/** Sentences for the terminal about who can reach the server; none when it is only this machine. */
export function exposureNotice(host: string, port: number, secure: boolean, roomPath: string, others: readonly string[]): string[] {
  if (isLoopback(host)) return [];
  const everywhere = host === '0.0.0.0' || host === '::';
  const addresses = everywhere ? others : [host];
  return [
    `Anyone who can reach this machine over the network can load the page${everywhere ? ' (it listens on every address)' : ''}; to enter a room they need its key.`,
    ...addresses.map((address) => `  ${origin(secure, address, port)}${roomPath}`),
    ...(secure ? [] : ['This is plain http: whoever can listen on that network can read the keys and everything the VMs send. --tls CERT KEY makes it private.']),
  ];
}
