/**
 * The envelope of every message, on both lanes (rules MG1-MG6 of PROTOCOL.md). Numbers are big-endian.
 *
 *    0        4     5     6      7      8             16          20        24
 *    +--------+-----+-----+------+------+-------------+-----------+---------+-----------------+
 *    | "TMig" | ver | typ | flag |  0   |  migration  | sequence  | length  | payload[length] |
 *    | u8 x 4 | u8  | u8  |  u8  |  u8  |     u64     |    u32    |   u32   |                 |
 *    +--------+-----+-----+------+------+-------------+-----------+---------+-----------------+
 *
 *   ver        0 in the handshake (offer, accepted, refused), whose shape never changes; then the agreed version
 *   typ        MessageType
 *   flag       bit 0: the receiver acknowledges at once (bulk lane only)
 *   migration  hash of the migration id: a message of another migration is refused
 *   sequence   0, 1, 2, ... per lane, direction and link: a lost or repeated message is noticed
 */
import type { MigrationId } from '../shared/ids.ts';
import { MAX_MESSAGE_BYTES } from './limits.ts';
import { MigrationError } from './migration-error.ts';

export { MAX_MESSAGE_BYTES };
export const HEADER_BYTES = 24;
export const MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - HEADER_BYTES;
/** Version of the handshake's messages. */
export const HANDSHAKE_VERSION = 0;

const MAGIC = 0x544d6967; // "TMig"
const FLAG_ACKNOWLEDGE = 1;
const SEQUENCES = 2 ** 32;

export const MessageType = { control: 1, pages: 2, devices: 3 } as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

export interface Envelope {
  readonly version: number;
  readonly type: MessageType;
  readonly acknowledge: boolean;
  /** Hash of the migration id, 16 hex digits. */
  readonly migration: string;
  readonly sequence: number;
  /** A view into the message, not a copy. */
  readonly payload: Uint8Array;
}

/** Writes one message around `payload`, which is copied. Throws RangeError if it is longer than MAX_PAYLOAD_BYTES. */
export function serializeMessage(envelope: Envelope): Uint8Array {
  const { payload } = envelope;
  if (payload.length > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`A payload of ${payload.length} bytes is longer than the ${MAX_PAYLOAD_BYTES} a message carries`);
  }
  const message = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, envelope.version);
  view.setUint8(5, envelope.type);
  view.setUint8(6, envelope.acknowledge ? FLAG_ACKNOWLEDGE : 0);
  view.setUint32(8, Number.parseInt(envelope.migration.slice(0, 8), 16));
  view.setUint32(12, Number.parseInt(envelope.migration.slice(8), 16));
  view.setUint32(16, envelope.sequence);
  view.setUint32(20, payload.length);
  message.set(payload, HEADER_BYTES);
  return message;
}

/** Reads the envelope; allocates nothing but views. Throws MigrationError('message-too-large' | 'bad-message'). */
export function parseMessage(message: Uint8Array): Envelope {
  const size = message.byteLength;
  if (size > MAX_MESSAGE_BYTES) {
    throw new MigrationError('message-too-large', `A message of ${size} bytes arrived; at most ${MAX_MESSAGE_BYTES} are allowed.`);
  }
  if (size < HEADER_BYTES) throw bad(`it has ${size} bytes, and its header alone takes ${HEADER_BYTES}`);
  const view = new DataView(message.buffer, message.byteOffset, size);
  if (view.getUint32(0) !== MAGIC) throw bad('it does not start with TMig');
  const type = view.getUint8(5);
  if (!isMessageType(type)) throw bad(`its type ${type} is unknown`);
  const flags = view.getUint8(6);
  if (flags > FLAG_ACKNOWLEDGE) throw bad(`its flags ${flags} are unknown`);
  if (view.getUint8(7) !== 0) throw bad('its reserved byte is not zero');
  const length = view.getUint32(20);
  if (length !== size - HEADER_BYTES) {
    throw bad(`its header promises ${length} bytes of payload and ${size - HEADER_BYTES} came`);
  }
  return {
    version: view.getUint8(4),
    type,
    acknowledge: flags === FLAG_ACKNOWLEDGE,
    migration: hex32(view.getUint32(8)) + hex32(view.getUint32(12)),
    sequence: view.getUint32(16),
    payload: message.subarray(HEADER_BYTES),
  };
}

/** The migration id as every envelope carries it: FNV-1a over its characters, twice with different start values. */
export function hashMigrationId(id: MigrationId): string {
  return hex32(fnv1a(id, 0x811c9dc5)) + hex32(fnv1a(id, 0x6a09e667));
}

/** The sequence number after this one; wraps at 2^32. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) % SEQUENCES;
}

function isMessageType(type: number): type is MessageType {
  return type === MessageType.control || type === MessageType.pages || type === MessageType.devices;
}

function bad(why: string): MigrationError {
  return new MigrationError('bad-message', `A message is not one of TabMotion's: ${why}.`);
}

function fnv1a(text: string, start: number): number {
  let hash = start;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0');
}
