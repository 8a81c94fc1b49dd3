/**
 * Which sites' pages may open sockets here. Only browsers send Origin, and they always do: the check protects their
 * users from foreign pages that talk to servers on the users' own machines, not the server.
 */
import type { IncomingMessage } from 'node:http';

/** True if this request may be answered. */
export type OriginCheck = (request: Pick<IncomingMessage, 'headers'>) => boolean;

/** Allows this server's own page, and pages of these origins (`https://example.org`), in case a proxy changes Host. */
export function allowOrigins(origins: readonly string[] = []): OriginCheck {
  const allowed = new Set(origins);
  return ({ headers: { origin, host } }) => {
    if (origin === undefined || allowed.has(origin)) return true;
    return URL.canParse(origin) && new URL(origin).host === (host ?? '').toLowerCase();
  };
}
