import { sep } from 'node:path';
import express, { type RequestHandler } from 'express';

/** A year in seconds, the longest a cache may be asked to keep a file (RFC 9111 has no more, browsers agree). */
export const IMMUTABLE = 'public, max-age=31536000, immutable';
/** Cached, but revalidated before each use. */
export const REVALIDATE = 'no-cache';

/**
 * Serves the built page from `directory`. Files under assets/ carry a digest in their names and are cached for ever;
 * everything else is revalidated, so that a new build shows at the next load.
 */
export function pageFiles(directory: string): RequestHandler {
  return express.static(directory, {
    cacheControl: false,
    setHeaders(response, path) {
      response.setHeader('Cache-Control', path.includes(`${sep}assets${sep}`) ? IMMUTABLE : REVALIDATE);
    },
  });
}
