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

const SHA256 = /^[0-9a-f]{64}$/;

/**
 * Serves a finished guest set: `/manifest.json` and `/SOURCES` unchanged, and artefacts under `/<sha256>/<name>`, with
 * byte ranges, a strong ETag (the digest itself) and caching for ever. Serves only names of this set, but under any
 * digest: a VM that was started from the previous set still reads its disk. Mount it under /guest.
 */
export function guestFiles(directory: string, files: readonly GuestFile[]): Router {
  const router = Router();
  const names = new Set(files.map((file) => file.name));

  router.get('/manifest.json', wholeFile(directory, 'manifest.json', 'application/json; charset=utf-8'));
  router.get('/SOURCES', wholeFile(directory, 'SOURCES', 'text/plain; charset=utf-8'));
  router.get('/:sha256/:name', (request, response, next) => {
    const { sha256, name } = request.params;
    if (!SHA256.test(sha256) || !names.has(name)) {
      notFound(request, response);
      return;
    }
    response.sendFile(
      join(sha256, name),
      {
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
      },
      (error?: Error & { readonly status?: number }) => {
        if (error === undefined || response.headersSent) return;
        if (error.status === 404) notFound(request, response);
        else next(error);
      },
    );
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
