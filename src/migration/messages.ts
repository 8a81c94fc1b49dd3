/**
 * The control messages: JSON in ASCII, checked against these schemas after their size was checked (rules MG4, MG9).
 * A migration in order:
 *
 *   source                                             target
 *     offer            ----------------------------->           handshake: version 0, its shape never changes
 *                      <-----------------------------  accepted | refused
 *                      <-----------------------------  prepared
 *     [pages ...]      ============ bulk ===========>
 *                      <-----------------------------  applied, applied, ...
 *     can-commit       ----------------------------->
 *                      <-----------------------------  ready
 *     [last pages, devices]  ====== bulk ===========>
 *     switchover       ----------------------------->
 *     scan             ----------------------------->           only with `verify`
 *                      <-----------------------------  running, before it perhaps unanswered
 *
 *   ping / pong at any time after `accepted`; `end` from either side; resume / resumed first over a replaced link
 */
import * as v from 'valibot';
import type { TargetTook } from './downtime.ts';
import type { Fingerprint } from './fingerprint.ts';
import { MAX_DEVICE_STATE_BYTES, MAX_PAGES, MAX_TEXT_LENGTH } from './limits.ts';
import { CAUSE_SENTENCES, MigrationError } from './migration-error.ts';
import type { PageSpace } from './ports.ts';
import type { MigrationCause } from './report.ts';
import { MAX_PAYLOAD_BYTES } from './wire.ts';

const id = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/));
const text = v.pipe(v.string(), v.maxLength(MAX_TEXT_LENGTH));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const pages = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(MAX_PAGES));
/** Milliseconds of one host's monotonic clock. */
const time = v.pipe(v.number(), v.finite());
const version = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(255));
const duration = v.pipe(time, v.minValue(0));
const took: v.GenericSchema<unknown, TargetTook> = v.object({ restore: duration, verify: duration, commit: duration, run: duration });
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/));

const cause = v.picklist(Object.keys(CAUSE_SENTENCES) as MigrationCause[]);

const fingerprint: v.GenericSchema<unknown, Fingerprint> = v.object({
  v86Version: text,
  emulatorDigest: text,
  memoryBytes: count,
  videoMemoryBytes: count,
  diskBytes: count,
  devices: v.pipe(v.array(text), v.maxLength(64)),
  diskDigest: text,
  snapshotDigest: text,
});
const space: v.GenericSchema<unknown, PageSpace> = v.object({ ramPages: pages, videoPages: pages, diskPages: pages });

/** The part that never changes between versions: enough to refuse an offer with a sentence. */
const offerVersionsSchema = v.object({ type: v.literal('offer'), versions: v.object({ oldest: version, newest: version }) });

const offerSchema = v.object({
  type: v.literal('offer'),
  versions: v.object({ oldest: version, newest: version }),
  migrationId: id,
  vmId: id,
  vmName: v.optional(text),
  from: id,
  to: id,
  memoryBytes: count,
  fingerprint,
  space,
  verify: v.boolean(),
  /** Opaque to the engine: the target's own caller checks it. */
  extra: v.unknown(),
});

const endSchema = v.object({ type: v.literal('end'), outcome: v.picklist(['cancelled', 'failed']), cause, reason: text });

const toTargetSchema = v.variant('type', [
  offerSchema,
  v.object({ type: v.literal('can-commit') }),
  v.object({
    type: v.literal('switchover'),
    /** Total of bulk messages sent over this link: the target waits for the last one. */
    bulkMessages: count,
    deviceBytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(MAX_DEVICE_STATE_BYTES)),
    digest,
    /** When the source's CPU stopped, already on the target's clock. */
    stoppedAt: time,
  }),
  v.object({ type: v.literal('scan'), digest }),
  v.object({ type: v.literal('resume'), migrationId: id }),
  v.object({ type: v.literal('ping'), at: time }),
  endSchema,
]);

const toSourceSchema = v.variant('type', [
  v.object({ type: v.literal('accepted'), version }),
  v.object({ type: v.literal('refused'), cause, reason: text }),
  v.object({ type: v.literal('prepared'), fingerprint, space }),
  /** The relay answers the target; the round trip took this long. */
  v.object({ type: v.literal('ready'), relayRoundTripMs: duration }),
  /** Bulk messages of this link applied so far. */
  v.object({ type: v.literal('applied'), messages: count }),
  /** Bulk messages of the dead link that were applied. */
  v.object({ type: v.literal('resumed'), messages: count }),
  /** The relay has not answered the commit yet: the source should ask for its VM. */
  v.object({ type: v.literal('unanswered') }),
  /**
   * The CPU has been running here since `at` (the target's clock). `verified`: both scans were equal; null without
   * `verify`. `took`: the parts of the target's share of the pause.
   */
  v.object({ type: v.literal('running'), epoch: v.pipe(count, v.minValue(1)), at: time, verified: v.nullable(v.boolean()), took: v.optional(took) }),
  v.object({ type: v.literal('pong'), at: time, received: time, sent: time }),
  endSchema,
]);

export type ToTarget = v.InferOutput<typeof toTargetSchema>;
export type ToSource = v.InferOutput<typeof toSourceSchema>;
export type ToTargetOf<T extends ToTarget['type']> = Extract<ToTarget, { type: T }>;
export type ToSourceOf<T extends ToSource['type']> = Extract<ToSource, { type: T }>;
export type OfferMessage = ToTargetOf<'offer'>;

/** The payload of a control message. Throws MigrationError('internal') if it does not fit into one message. */
export function serializeControl(message: ToTarget | ToSource): Uint8Array {
  const json = JSON.stringify(message).replace(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
  if (json.length > MAX_PAYLOAD_BYTES) {
    throw new MigrationError('internal', `A ${message.type} message of ${json.length} bytes does not fit into one message of ${MAX_PAYLOAD_BYTES}.`);
  }
  const payload = new Uint8Array(json.length);
  for (let at = 0; at < json.length; at++) payload[at] = json.charCodeAt(at);
  return payload;
}

/** Reads a control message that the target received. Throws MigrationError('bad-message' | 'version-mismatch'). */
export function parseToTarget(payload: Uint8Array): ToTarget {
  return check(toTargetSchema, readJson(payload));
}

/** Reads a control message that the source received. Throws MigrationError('bad-message'). */
export function parseToSource(payload: Uint8Array): ToSource {
  return check(toSourceSchema, readJson(payload));
}

/**
 * The versions of an offer, read before everything else in it, so that a newer kind of offer can be refused with a
 * sentence; null if the message is not an offer. Throws MigrationError('bad-message') if it is not JSON.
 */
export function readOfferedVersions(payload: Uint8Array): { readonly oldest: number; readonly newest: number } | null {
  const result = v.safeParse(offerVersionsSchema, readJson(payload));
  return result.success ? result.output.versions : null;
}

function readJson(payload: Uint8Array): unknown {
  let json = '';
  // In pieces, because the arguments of one call are limited.
  for (let at = 0; at < payload.length; at += 4096) json += String.fromCharCode(...payload.subarray(at, at + 4096));
  if (/[^ -~]/.test(json)) throw new MigrationError('bad-message', 'A control message holds bytes that are not ASCII.');
  try {
    return JSON.parse(json);
  } catch {
    throw new MigrationError('bad-message', 'A control message is not JSON.');
  }
}

function check<T>(schema: v.GenericSchema<unknown, T>, value: unknown): T {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const where = v.getDotPath(issue);
  throw new MigrationError(
    'bad-message',
    `A control message is not as agreed${where === null ? '' : ` at ${where.slice(0, 100)}`}: ${issue.message.slice(0, 200)}.`,
  );
}
