/** What the server does, in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/). */
import { timingSafeEqual, createHash } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { SignallingFigures } from './signalling-sockets.ts';
import { callerAddress } from './caller-address.ts';
import { isLoopback } from '../shared/loopback.ts';

type Counts = Readonly<Partial<Record<string, number>>>;

export interface ServerFigures {
  readonly sockets: number;
  readonly rooms: number;
  readonly vms: number;
  readonly heldFrames: number;
  readonly heldBytes: number;
  /** Refused sockets and messages, by name. */
  readonly refusals: Counts;
  /** Dropped frames of the VMs there are now, by name. */
  readonly dropped: Counts;
  readonly signalling: SignallingFigures;
  readonly connections: { readonly refusals: Counts };
  /** Errors that nobody expected, by where they were met. */
  readonly ownErrors: Counts;
}

export interface MetricsOptions {
  readonly figures: () => ServerFigures;
  /** Callers that send this key as a bearer token get the figures; null: only this machine does. */
  readonly operatorKey: string | null;
}

/** `GET /metrics`: for programs on this machine, and for callers with the operator's key. */
export function metrics({ figures, operatorKey }: MetricsOptions): RequestHandler {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, value: (now: ServerFigures) => number): void => {
    new Gauge({
      name: `tabmotion_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value(figures()));
      },
    });
  };
  const byName = <Kind extends Gauge | Counter>(metric: Kind, set: (metric: Kind, name: string, count: number) => void, counts: Counts): void => {
    metric.reset();
    for (const [name, count] of Object.entries(counts)) if (count !== undefined) set(metric, name, count);
  };
  const counter = (name: string, help: string, counts: (now: ServerFigures) => Counts): void => {
    new Counter({
      name: `tabmotion_${name}_total`,
      help,
      labelNames: ['name'],
      registers: [registry],
      collect() {
        byName(this, (metric, label, count) => metric.inc({ name: label }, count), counts(figures()));
      },
    });
  };
  gauge('sockets', 'Sockets of the relay that are open.', ({ sockets }) => sockets);
  gauge('rooms', 'Rooms that are open.', ({ rooms }) => rooms);
  gauge('vms', 'VMs in them.', ({ vms }) => vms);
  gauge('held_frames', 'Frames held in switchovers.', ({ heldFrames }) => heldFrames);
  gauge('held_bytes', 'Bytes of frames held in switchovers.', ({ heldBytes }) => heldBytes);
  gauge('signalling_sockets', 'Sockets of the signalling server that are open.', ({ signalling }) => signalling.sockets);
  gauge('signalling_waiting_bytes', 'Bytes that wait in them.', ({ signalling }) => signalling.waitingBytes);
  counter('refusals', 'Sockets and messages that the relay refused, or read more slowly (slowed), by name.', ({ refusals }) => refusals);
  counter('signalling_refusals', 'What the signalling server refused, by name.', ({ signalling }) => signalling.refusals);
  counter('connection_refusals', 'Connections that were ended before anything was read of them, by name.', ({ connections }) => connections.refusals);
  counter('own_errors', 'Errors of the server itself, by where they were met.', ({ ownErrors }) => ownErrors);
  new Gauge({
    name: 'tabmotion_dropped_frames',
    help: 'Frames dropped of the VMs there are now, by name.',
    labelNames: ['name'],
    registers: [registry],
    collect() {
      byName(this, (metric, name, count) => metric.set({ name }, count), figures().dropped);
    },
  });

  return (request, response, next) => {
    if (!isFromHere(request) && !hasKey(request, operatorKey)) {
      const how =
        operatorKey === null
          ? 'start the server with --operator-key KEY and send it: Authorization: Bearer KEY'
          : "send the operator's key: Authorization: Bearer KEY";
      response
        .status(401)
        .setHeader('WWW-Authenticate', 'Bearer')
        .setHeader('Cache-Control', 'no-store')
        .type('text/plain')
        .send(`These figures are for the machine that the server runs on. From elsewhere, ${how}.\n`);
      return;
    }
    registry.metrics().then((text) => {
      response.setHeader('Cache-Control', 'no-store').setHeader('Content-Type', registry.contentType).send(text);
    }, next);
  };
}

/** True for a program on this machine that asks for itself. A proxy on this machine asks for others, and its request names them or its public host. */
function isFromHere(request: Request): boolean {
  const { headers, socket } = request;
  return (
    callerAddress(socket.remoteAddress) === null &&
    headers['x-forwarded-for'] === undefined &&
    headers.forwarded === undefined &&
    headers.via === undefined &&
    isLoopback(request.hostname)
  );
}

function hasKey(request: Request, key: string | null): boolean {
  const sent = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (key === null || sent === undefined) return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(sent), digest(key));
}
