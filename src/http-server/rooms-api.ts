import express, { Router, type Request, type Response } from 'express';
import { ForwardError, type Forward } from '../net-relay/gateway/port-forwards.ts';
import type { LastWord } from '../net-relay/protocol/relay-protocol.ts';
import { decodeLastWord } from '../net-relay/protocol/relay-wire.ts';
import type { TraceAt } from '../shared/trace.ts';
import { bearer } from './bearer.ts';
import type { CaptureDownloads, FilePieces } from './capture-downloads.ts';

/** What the relay tells about a room. */
interface RoomDescription {
  readonly hosts: readonly { readonly id: string; readonly name: string }[];
  readonly vms: readonly {
    readonly id: string;
    readonly mac: string;
    readonly ip: string;
    readonly ownerHostId: string;
    readonly epoch: number;
    readonly forwards: readonly { readonly guestPort: number; readonly hostPort: number }[];
  }[];
  /** VMs that have ended and that nobody has dismissed yet, oldest first. */
  readonly ended: readonly {
    readonly id: string;
    readonly name: string;
    readonly hostName: string | null;
    readonly how: string;
    readonly why: string | null;
    readonly agoMs: number;
  }[];
  /** What the room's gateway counted, by the names of its counters.ts; absent while the room is not open. */
  readonly gateway?: Readonly<Record<string, number>>;
}

interface CaptureState {
  readonly running: boolean;
  /** Frames that the file would hold now, and frames that made room for later ones. */
  readonly frames: number;
  readonly lost: number;
}

/** What may be changed in an open room. */
export interface RoomControls {
  forwards(): readonly Forward[];
  /** `vm`: id or name. Rejects with ForwardError. */
  addForward(request: { readonly vm: string; readonly guestPort: number; readonly hostPort: number }): Promise<Forward>;
  /** False if there is none on that host port. */
  removeForward(hostPort: number): Promise<boolean>;
  captureState(): CaptureState;
  /** Starts a capture anew. Throws Error with a sentence if there are too many already. */
  startCapture(): void;
  stopCapture(): void;
  /** What was captured so far, as a pcap file in pieces; null if nothing is captured. */
  captured(): (FilePieces & { readonly bytes: number }) | null;
}

export interface Rooms {
  /** The room's state, or null if there is no such room or the key is not its key (the two look alike on purpose). */
  describe(name: string, key: string): RoomDescription | null;
  /** As `describe`; 'empty' if nobody is in the room now. */
  controls(name: string, key: string): RoomControls | 'empty' | null;
  /** The events in the room, newest last, and the time now by the same clock; null as in `describe`. */
  trace(name: string, key: string): TraceAt | null;
  /** The last message of a tab that leaves the room; false as in `describe`. */
  lastWord(name: string, key: string, word: LastWord): boolean;
  /** Origins under which other computers reach this server, the likeliest first; none if they cannot. */
  addresses(): readonly string[];
  /** Figures of the whole relay, for the server's operator: the key is the default room's, which the server prints. */
  figures(key: string): object | null;
}

/** A request to forward a port is three short fields. */
const MAX_BODY = '2kb';
/** Enough for one ending for each VM that a tab can have. */
const MAX_LAST_WORD = '64kb';
/** Ports below need root and belong to the machine's own services: a room's key alone does not open them. */
const FIRST_OPEN_HOST_PORT = 1024;

const DOWNLOAD_REFUSALS = {
  'room-busy': 'The capture of this room is being downloaded; try again when that is done.',
  'downloads-full': 'The server sends as many captures as it can at a time; try again in a while.',
} as const;

/**
 * What anyone in a room may request, under /api/rooms, each with `Authorization: Bearer KEY` (for its owner's requests see
 * room-owner-api.ts):
 *
 *   GET    /:name                       the room's state
 *   GET    /:name/trace                 { now, entries }: what happened in the room, step by step, as far as it is kept
 *   POST   /:name/last-word             the last message of a tab that leaves: its VMs have ended
 *   GET    /:name/addresses             { addresses }: origins for an invitation to other computers
 *   GET    /:name/forwards              its port forwards
 *   POST   /:name/forwards              { vm, guestPort, hostPort? }: adds one; 201 with the forward, 409 with why not
 *   DELETE /:name/forwards/:hostPort    removes one
 *   GET    /:name/capture               whether frames are captured, and how many
 *   PUT    /:name/capture               starts a capture, anew if there is one
 *   GET    /:name/capture.pcap          what was captured so far; 429 while a download of it runs, 503 while too many downloads run
 *   DELETE /:name/capture               ends it and forgets the frames
 */
export function roomsApi(rooms: Rooms, downloads: CaptureDownloads): Router {
  const router = Router();
  const controls: ControlsOf = (request, response) => {
    const key = bearer(request, response);
    if (key === null) return null;
    const room = rooms.controls(request.params.name, key);
    if (room === null) refuse(response);
    else if (room === 'empty') response.status(404).json({ error: 'Nobody is in this room now.' });
    else return room;
    return null;
  };
  addRoom(router, rooms, controls);
  addForwards(router, controls);
  addCapture(router, controls, downloads);
  return router;
}

/** The controls of the room that a request names, if it carries the room's key. Otherwise answers the request and returns null. */
type ControlsOf = (request: Request<{ name: string }>, response: Response) => RoomControls | null;

function addRoom(router: Router, rooms: Rooms, controls: ControlsOf): void {
  const tells = (path: '/:name' | '/:name/trace', ask: (name: string, key: string) => object | null): void => {
    router.get(path, (request, response) => {
      const key = bearer(request, response);
      if (key === null) return;
      const told = ask(request.params.name, key);
      if (told === null) refuse(response);
      else response.json(told);
    });
  };
  tells('/:name', (name, key) => rooms.describe(name, key));
  tells('/:name/trace', (name, key) => rooms.trace(name, key));

  router.post('/:name/last-word', express.json({ limit: MAX_LAST_WORD }), (request, response) => {
    const key = bearer(request, response);
    if (key === null) return;
    const word = decodeLastWord(request.body);
    if (word === null) response.status(400).json({ error: 'This is no last word of a tab.' });
    else if (!rooms.lastWord(request.params.name, key, word)) refuse(response);
    else response.status(204).end();
  });

  router.get('/:name/addresses', (request, response) => {
    if (controls(request, response) !== null) response.json({ addresses: rooms.addresses() });
  });
}

function addForwards(router: Router, controls: ControlsOf): void {
  router.get('/:name/forwards', (request, response) => {
    const room = controls(request, response);
    if (room !== null) response.json(room.forwards());
  });
  router.post('/:name/forwards', express.json({ limit: MAX_BODY }), async (request, response) => {
    const room = controls(request, response);
    if (room === null) return;
    const wanted = forwardRequest(request.body);
    if (typeof wanted === 'string') {
      response.status(400).json({ error: wanted });
      return;
    }
    try {
      response.status(201).json(await room.addForward(wanted));
    } catch (error) {
      if (!(error instanceof ForwardError)) throw error;
      response.status(409).json({ error: `${error.message}.` });
    }
  });
  router.delete('/:name/forwards/:hostPort', async (request, response) => {
    const room = controls(request, response);
    if (room === null) return;
    try {
      const removed = /^\d{1,5}$/.test(request.params.hostPort) && (await room.removeForward(Number(request.params.hostPort)));
      if (removed) response.status(204).end();
      else response.status(404).json({ error: 'No VM of this room has a forward on that port.' });
    } catch (error) {
      if (!(error instanceof ForwardError)) throw error;
      response.status(409).json({ error: `${error.message}.` });
    }
  });
}

function addCapture(router: Router, controls: ControlsOf, downloads: CaptureDownloads): void {
  router.get('/:name/capture', (request, response) => {
    const room = controls(request, response);
    if (room !== null) response.json(room.captureState());
  });
  router.put('/:name/capture', (request, response) => {
    const room = controls(request, response);
    if (room === null) return;
    try {
      room.startCapture();
      response.json(room.captureState());
    } catch (error) {
      response.status(409).json({ error: error instanceof Error ? error.message : String(error) });
    }
  });
  router.get('/:name/capture.pcap', async (request, response) => {
    const room = controls(request, response);
    if (room === null) return;
    if (!room.captureState().running) {
      response.status(404).json({ error: 'Nothing is captured in this room.' });
      return;
    }
    const { name } = request.params;
    const begun = downloads.begin(name);
    if (begun !== 'begun') {
      response.status(begun === 'room-busy' ? 429 : 503).json({ error: DOWNLOAD_REFUSALS[begun] });
      return;
    }
    await downloads.send(
      name,
      () => {
        const file = room.captured() ?? { bytes: 0, pieces: [], dispose: () => undefined };
        response.type('application/vnd.tcpdump.pcap').attachment(`${name}.pcap`).setHeader('Content-Length', file.bytes);
        return request.method === 'HEAD' ? { ...file, pieces: [] } : file;
      },
      response,
    );
  });
  router.delete('/:name/capture', (request, response) => {
    const room = controls(request, response);
    if (room === null) return;
    room.stopCapture();
    response.status(204).end();
  });
}

function refuse(response: Response): void {
  response.status(403).json({ error: 'There is no room of this name with this key.' });
}

/** A sentence if the body is no request for a forward. */
function forwardRequest(body: unknown): { readonly vm: string; readonly guestPort: number; readonly hostPort: number } | string {
  const { vm, guestPort, hostPort = 0 } = (typeof body === 'object' && body !== null ? body : {}) as { vm?: unknown; guestPort?: unknown; hostPort?: unknown };
  if (typeof vm !== 'string' || vm === '' || vm.length > 64 || typeof guestPort !== 'number' || typeof hostPort !== 'number') {
    return 'Send { "vm": id or name, "guestPort": 1 to 65535, "hostPort": 0 for any free one } as JSON.';
  }
  if (hostPort !== 0 && hostPort < FIRST_OPEN_HOST_PORT)
    return `The host port must be 0 (any free one) or at least ${FIRST_OPEN_HOST_PORT}; only --forward opens lower ones.`;
  return { vm, guestPort, hostPort };
}

/** `GET /` with the default room's key: how many sockets, rooms and VMs there are, and what was refused. Mount it under /api/relay. */
export function relayApi(rooms: Rooms): Router {
  const router = Router();
  router.get('/', (request, response) => {
    const key = bearer(request, response);
    if (key === null) return;
    const figures = rooms.figures(key);
    if (figures === null) response.status(403).json({ error: "These figures are for who runs the server: send the default room's key." });
    else response.json(figures);
  });
  return router;
}
