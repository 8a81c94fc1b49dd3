import { isIPv6 } from 'node:net';
import type { networkInterfaces } from 'node:os';
import { isLoopback } from '../shared/loopback.ts';

/** `http://host:port`, with an IPv6 address in brackets. */
export function origin(secure: boolean, host: string, port: number): string {
  return `${secure ? 'https' : 'http'}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** The host name that people on this machine use to open the page; other addresses stay as they are. */
export function displayHost(host: string): string {
  return host === '127.0.0.1' || host === '::1' || host === '0.0.0.0' || host === '::' ? 'localhost' : host;
}

/** Interfaces for virtual machines and containers on this machine; other computers are rarely behind them. */
const VIRTUAL = /^(docker|br-|veth|virbr|vmnet|vboxnet|vEthernet|tap|tun|utun|cni|podman)/;

/** The addresses of this machine that other computers can use when the server listens on all of them, the likeliest first. */
export function outsideAddresses(interfaces: ReturnType<typeof networkInterfaces>): string[] {
  const found = Object.entries(interfaces).flatMap(([name, entries]) =>
    (entries ?? []).filter((entry) => !entry.internal && entry.family === 'IPv4').map((entry) => ({ address: entry.address, virtual: VIRTUAL.test(name) })),
  );
  return [...found.filter(({ virtual }) => !virtual), ...found.filter(({ virtual }) => virtual)].map(({ address }) => address);
}

/** Origins at which other computers can open the page, the likeliest first; none if the server listens on loopback. */
export function outsideOrigins(host: string, port: number, secure: boolean, others: readonly string[]): string[] {
  if (isLoopback(host)) return [];
  return (isEverywhere(host) ? others : [host]).map((address) => origin(secure, address, port));
}

function isEverywhere(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** What to append to the server's origin: for people invited to the default room, and for its owner. */
export interface RoomPaths {
  readonly roomPath: string;
  readonly ownerPath: string;
}

export interface Reach {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** A proxy on this machine is declared. */
  readonly behindProxy: boolean;
}

/** Sentences for the terminal about who can reach the server, how to let others in, and who owns the default room. */
export function exposureNotice({ host, port, secure, behindProxy }: Reach, { roomPath, ownerPath }: RoomPaths, others: readonly string[]): string[] {
  const owner = `Who opens it with ${ownerPath} instead owns the default room: can change its key, remove tabs and close it. Keep that to yourself.`;
  if (isLoopback(host) && behindProxy)
    return [`Only this computer reaches it directly: people open the address of the proxy, with ${roomPath} behind it.`, owner];
  if (isLoopback(host)) return ['Only browsers on this computer can open it. To invite other computers, start it with: npm start -- --host 0.0.0.0'];
  return [
    `Anyone who can reach this machine over the network can load the page${isEverywhere(host) ? ' (it listens on every address)' : ''}; to enter a room they need its key.`,
    ...outsideOrigins(host, port, secure, others).map((outside) => `  ${outside}${roomPath}`),
    owner,
    ...(secure
      ? []
      : ['This is plain http: whoever can listen on that network can read the keys and everything the VMs send. --tls CERT KEY makes it private.']),
  ];
}
