import { Router, type Request, type Response } from 'express';

/** What the relay tells about a room. */
export interface RoomDescription {
  readonly hosts: readonly { readonly id: string; readonly name: string }[];
  readonly vms: readonly {
    readonly id: string;
    readonly mac: string;
    readonly ip: string;
    readonly ownerHostId: string;
    readonly epoch: number;
    readonly forwards: readonly { readonly guestPort: number; readonly hostPort: number }[];
  }[];
}

export interface Rooms {
  /** The room's state, or null if there is no such room or the key is not its key (the two look alike on purpose). */
  describe(name: string, key: string): RoomDescription | null;
  /** Figures of the whole relay, for who runs the server: the key is the default room's, which the server prints. */
  figures(key: string): object | null;
}

const BEARER = /^Bearer ([A-Za-z0-9_-]{16,64})$/;

/** The key that a request carries; otherwise answers it with 401 and returns null. */
export function bearerKey(request: Request, response: Response): string | null {
  response.setHeader('Cache-Control', 'no-store');
  const key = BEARER.exec(request.headers.authorization ?? '')?.[1];
  if (key !== undefined) return key;
  response.status(401).setHeader('WWW-Authenticate', 'Bearer').json({ error: "Send the room's key: Authorization: Bearer KEY (the part of the room's address after #)." });
  return null;
}

/** `GET /:name` with `Authorization: Bearer KEY`. Mount it under /api/rooms. */
export function roomsApi(rooms: Rooms): Router {
  const router = Router();
  router.get('/:name', (request, response) => {
    const key = bearerKey(request, response);
    if (key === null) return;
    const room = rooms.describe(request.params.name, key);
    if (room === null) {
      response.status(403).json({ error: 'There is no room of this name with this key.' });
      return;
    }
    response.json(room);
  });
  return router;
}

/** `GET /` with the default room's key: how many sockets, rooms and VMs there are, and what was refused. Mount it under /api/relay. */
export function relayApi(rooms: Rooms): Router {
  const router = Router();
  router.get('/', (request, response) => {
    const key = bearerKey(request, response);
    if (key === null) return;
    const figures = rooms.figures(key);
    if (figures === null) response.status(403).json({ error: "These figures are for who runs the server: send the default room's key." });
    else response.json(figures);
  });
  return router;
}
