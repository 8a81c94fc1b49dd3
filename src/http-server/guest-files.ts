import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Router, type Request, type RequestHandler, type Response } from 'express';
import { IMMUTABLE, REVALIDATE } from './page-files.ts';

/** A file of the guest set that may be served; lies at `<directory>/<sha256>/<name>`. */
export interface GuestFile {
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/**
 * Serves a finished guest set: `/manifest.json` and `/SOURCES` as they stand, and every artefact the manifest names
 * under `/<sha256>/<name>`, with byte ranges, a strong ETag (the digest itself) and caching for ever. Anything else in
 * the directory does not exist for visitors. Mount it under /guest.
 */
export function guestFiles(directory: string, files: readonly GuestFile[]): Router {
  const router = Router();
  const known = new Set(files.map((file) => `${file.sha256}/${file.name}`));

  router.get('/manifest.json', wholeFile(directory, 'manifest.json', 'application/json; charset=utf-8'));
  router.get('/SOURCES', wholeFile(directory, 'SOURCES', 'text/plain; charset=utf-8'));
  router.get('/:sha256/:name', (request, response, next) => {
    const { sha256, name } = request.params;
    if (!known.has(`${sha256}/${name}`)) {
      notFound(request, response);
      return;
    }
    response.sendFile(join(sha256, name), {
      root: directory,
      cacheControl: false,
      etag: false,
      lastModified: false,
      headers: {
        ETag: `"${sha256}"`,
        'Cache-Control': IMMUTABLE,
        'Content-Type': 'application/octet-stream',
        // Any page may load a guest set by its digest: it is public, and checked where it is used.
        'Access-Control-Allow-Origin': '*',
        'Cross-Origin-Resource-Policy': 'cross-origin',
      },
    }, (error?: Error) => {
      if (error === undefined || response.headersSent) return;
      next(error);
    });
  });
  router.use(notFound);
  return router;
}

function wholeFile(directory: string, name: string, type: string): RequestHandler {
  return async (request, response) => {
    const content = await readFile(join(directory, name)).catch(() => null);
    if (content === null) {
      notFound(request, response);
      return;
    }
    response.setHeader('ETag', `"${createHash('sha256').update(content).digest('hex')}"`);
    response.setHeader('Cache-Control', REVALIDATE);
    response.setHeader('Content-Type', type);
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.send(content);
  };
}

function notFound(request: Request, response: Response): void {
  response.status(404).type('text/plain').send(`There is no ${request.baseUrl}${request.path} here.\n`);
}
