import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RequestHandler } from 'express';
import type { UpgradeHandler } from './upgrades.ts';

const RELOAD_PATH = '/__reload';

export interface DevelopmentPage {
  readonly handler: RequestHandler;
  readonly upgrades: Readonly<Record<string, UpgradeHandler>>;
  dispose(): void;
}

/** The page straight from its sources, reloaded when they change (`--dev`). */
export async function developmentPage(root: string): Promise<DevelopmentPage> {
  const { createServer } = await import('vite');
  // Vite attaches itself to the server it is given; this one never listens and gets only the upgrades meant for it.
  const reloadServer: Server = createHttpServer();
  // Which names may be used is checked before Vite is asked.
  const vite = await createServer({
    root,
    appType: 'spa',
    server: { middlewareMode: true, allowedHosts: true, hmr: { server: reloadServer, path: RELOAD_PATH } },
  });
  return {
    handler: vite.middlewares as unknown as RequestHandler,
    upgrades: { [RELOAD_PATH]: (request: IncomingMessage, socket: Duplex, head: Buffer) => void reloadServer.emit('upgrade', request, socket, head) },
    dispose: () => void vite.close(),
  };
}
