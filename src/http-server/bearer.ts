import type { Request, Response } from 'express';

const BEARER = /^Bearer ([A-Za-z0-9_-]{16,64})$/;

/** Returns the secret that a request carries. Without one, answers 401 with `wanted`, which says what to send, and returns null. */
export function bearer(
  request: Request,
  response: Response,
  wanted = "Send the room's key: Authorization: Bearer KEY (the part of the room's address after #).",
): string | null {
  response.setHeader('Cache-Control', 'no-store');
  const secret = BEARER.exec(request.headers.authorization ?? '')?.[1];
  if (secret !== undefined) return secret;
  response.status(401).setHeader('WWW-Authenticate', 'Bearer').json({ error: wanted });
  return null;
}
