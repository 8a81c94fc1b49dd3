import { Router } from 'express';

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
}

const BEARER = /^Bearer ([A-Za-z0-9_-]{16,64})$/;

/** `GET /:name` with `Authorization: Bearer KEY`. Mount it under /api/rooms. */
export function roomsApi(rooms: Rooms): Router {
  const router = Router();
  router.get('/:name', (request, response) => {
    response.setHeader('Cache-Control', 'no-store');
    const key = BEARER.exec(request.headers.authorization ?? '')?.[1];
    if (key === undefined) {
      response.status(401).setHeader('WWW-Authenticate', 'Bearer').json({ error: "Send the room's key: Authorization: Bearer KEY (the part of the room's address after #)." });
      return;
    }
    const room = rooms.describe(request.params.name, key);
    if (room === null) {
      response.status(403).json({ error: 'There is no room of this name with this key.' });
      return;
    }
    response.json(room);
  });
  return router;
}
