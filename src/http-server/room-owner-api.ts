import { Router, type Request, type Response } from 'express';
import type { RoomOwner } from '../net-relay/server/open-rooms.ts';
import { RequestRefused } from '../net-relay/server/request-refused.ts';
import { StoreRefusal } from '../net-relay/store/key-value-store.ts';
import { bearer } from './bearer.ts';

export interface OwnedRooms {
  /** Null if nobody owns the room, or the secret is not the owner's (the two look alike on purpose). */
  owner(name: string, secret: string): RoomOwner | null;
  /** The room has another key now. */
  keyChanged(name: string): void;
}

const WANTED = "Send the secret of the room's owner: Authorization: Bearer SECRET (the part of the owner's address after owner=).";

/**
 * What the owner of a room may do, under /api/rooms, each with `Authorization: Bearer OWNER'S SECRET`. 409 says why it
 * is not possible now, 503 that the server could not store it:
 *
 *   PUT    /:name/key              { key }: the room's new key; hosts in the room stay, newcomers need it
 *   DELETE /:name/hosts/:hostId    { key }: as above; this host is removed, and its VMs end
 *   DELETE /:name                  204: all VMs end, everybody is removed, the key opens nothing; the default room opens anew, 200 with { key }
 */
export function roomOwnerApi(rooms: OwnedRooms): Router {
  const router = Router();
  const answer = (request: Request<{ name: string }>, response: Response, act: (owner: RoomOwner) => object | null): void => {
    const secret = bearer(request, response, WANTED);
    if (secret === null) return;
    const owner = rooms.owner(request.params.name, secret);
    if (owner === null) {
      response.status(403).json({ error: 'There is no room of this name with this owner.' });
      return;
    }
    try {
      const done = act(owner);
      if (done !== null) rooms.keyChanged(request.params.name);
      if (done === null) response.status(204).end();
      else response.json(done);
    } catch (error) {
      if (error instanceof RequestRefused) response.status(409).json({ error: error.message });
      else if (error instanceof StoreRefusal) response.status(503).json({ error: error.sentence });
      else throw error;
    }
  };
  router.put('/:name/key', (request, response) => answer(request, response, (owner) => ({ key: owner.changeKey() })));
  router.delete('/:name/hosts/:hostId', (request, response) => answer(request, response, (owner) => ({ key: owner.removeHost(request.params.hostId) })));
  router.delete('/:name', (request, response) =>
    answer(request, response, (owner) => {
      const key = owner.close();
      return key === null ? null : { key };
    }),
  );
  return router;
}
