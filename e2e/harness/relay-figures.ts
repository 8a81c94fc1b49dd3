import type { ServerProcess } from './server-process.ts';

/** Sockets that the relay has open, as `GET /api/relay` tells the server's owner. */
export async function relaySockets(server: ServerProcess): Promise<number> {
  const key = new URL(server.address).hash.slice(1);
  const answer = await fetch(`${server.origin}/api/relay`, { headers: { Authorization: `Bearer ${key}` } });
  return ((await answer.json()) as { sockets: number }).sockets;
}
