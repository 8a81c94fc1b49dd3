import type { ServerProcess } from './server-process.ts';

/** What `GET /api/relay` tells the server's owner. */
export interface RelayFigures {
  readonly sockets: number;
}

export async function relayFigures(server: ServerProcess): Promise<RelayFigures> {
  const key = new URL(server.address).hash.slice(1);
  const answer = await fetch(`${server.origin}/api/relay`, { headers: { Authorization: `Bearer ${key}` } });
  return (await answer.json()) as RelayFigures;
}

/** Sockets that the relay has open. */
export async function relaySockets(server: ServerProcess): Promise<number> {
  return (await relayFigures(server)).sockets;
}
