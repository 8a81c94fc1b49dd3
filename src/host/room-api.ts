/** The server's API for this room: rare requests that need no socket. Every call carries the room's key. */
import * as v from 'valibot';
import type { LastWord } from '../net-relay/protocol/relay-protocol.ts';
import type { TraceAt } from '../shared/trace.ts';
import type { CaptureState, PortForward } from './scripting-interface.ts';

const forwardSchema = v.object({ guestPort: v.number(), hostPort: v.number() });
const captureSchema = v.object({ running: v.boolean(), frames: v.number(), lost: v.number() });
const traceSchema = v.object({ now: v.number(), entries: v.array(v.object({ at: v.number(), subject: v.string(), step: v.string() })) });
const addressesSchema = v.object({ addresses: v.array(v.pipe(v.string(), v.url())) });
const keySchema = v.object({ key: v.string() });
const errorSchema = v.object({ error: v.pipe(v.string(), v.maxLength(1000)) });

export interface RoomApiOptions {
  /** Root of the server. */
  readonly base: URL;
  readonly room: string;
  /** The room's current key. */
  readonly key: () => string;
  /** The secret of the room's owner, if this tab has it. */
  readonly ownerSecret: string;
  readonly fetch?: typeof fetch;
}

export interface RoomApi {
  /** Origins under which other computers reach the server, the likeliest first; none if it listens on its own computer only. */
  addresses(): Promise<readonly string[]>;
  addForward(vmId: string, guestPort: number, hostPort: number): Promise<PortForward>;
  removeForward(hostPort: number): Promise<void>;
  /** The tab goes: these VMs are over. Outlives the page; nobody hears the answer. */
  lastWord(word: LastWord): void;
  /** What happened in the room, as the server saw it. */
  trace(): Promise<TraceAt>;
  captureState(): Promise<CaptureState>;
  startCapture(): Promise<CaptureState>;
  stopCapture(): Promise<void>;
  /** A pcap file. */
  captured(): Promise<Blob>;
  /** For the owner; each resolves with the room's new key. */
  changeKey(): Promise<string>;
  removeHost(hostId: string): Promise<string>;
  /** Null: the room does not exist any more. */
  closeRoom(): Promise<string | null>;
}

const keyIn = async (answer: Response): Promise<string> => v.parse(keySchema, await answer.json()).key;

/** Calls reject with an Error whose message is the server's sentence. */
export function createRoomApi({ base, room, key, ownerSecret, fetch: ask = (...args) => fetch(...args) }: RoomApiOptions): RoomApi {
  const call = (method: string, path: string, body?: object, keepalive = false): Promise<Response> => callWith(key(), method, `/${path}`, body, keepalive);
  const callAsOwner = (method: string, path: string): Promise<Response> => callWith(ownerSecret, method, path);
  async function callWith(bearer: string, method: string, path: string, body?: object, keepalive = false): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${bearer}` };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const answer = await ask(new URL(`api/rooms/${room}${path}`, base), {
      method,
      headers,
      keepalive,
      body: body === undefined ? null : JSON.stringify(body),
    }).catch(() => {
      throw new Error('The server cannot be reached. Try again in a moment.');
    });
    if (answer.ok) return answer;
    const said = v.safeParse(errorSchema, await answer.json().catch(() => null));
    throw new Error(said.success ? said.output.error : `The server refused this (${answer.status}).`);
  }

  return {
    addresses: async () => v.parse(addressesSchema, await (await call('GET', 'addresses')).json()).addresses,
    addForward: async (vmId, guestPort, hostPort) => v.parse(forwardSchema, await (await call('POST', 'forwards', { vm: vmId, guestPort, hostPort })).json()),
    async removeForward(hostPort) {
      await call('DELETE', `forwards/${hostPort}`);
    },
    lastWord(word) {
      void call('POST', 'last-word', word, true).catch(() => undefined);
    },
    trace: async () => v.parse(traceSchema, await (await call('GET', 'trace')).json()),
    captureState: async () => v.parse(captureSchema, await (await call('GET', 'capture')).json()),
    startCapture: async () => v.parse(captureSchema, await (await call('PUT', 'capture')).json()),
    async stopCapture() {
      await call('DELETE', 'capture');
    },
    captured: async () => (await call('GET', 'capture.pcap')).blob(),
    changeKey: async () => keyIn(await callAsOwner('PUT', '/key')),
    removeHost: async (hostId) => keyIn(await callAsOwner('DELETE', `/hosts/${hostId}`)),
    async closeRoom() {
      const answer = await callAsOwner('DELETE', '');
      return answer.status === 204 ? null : keyIn(answer);
    },
  };
}
