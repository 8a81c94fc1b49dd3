/**
 * What the hosts of a room say to one another, through the relay's `to-host` and `to-room`. Bodies are checked here,
 * at the edge; a body that does not fit is dropped and named in the log.
 */
import * as v from 'valibot';
import { idSchema as id } from '../net-relay/protocol/relay-protocol.ts';
import { DOWNTIME_PARTS, type Downtime } from '../migration/downtime.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';

const hostId = v.pipe(
  id,
  v.transform((value) => value as HostId),
);
const vmId = v.pipe(
  id,
  v.transform((value) => value as VmId),
);
const migrationId = v.pipe(
  id,
  v.transform((value) => value as MigrationId),
);
const sentence = v.pipe(v.string(), v.maxLength(2000));
/** The same limits as the relay has for names of hosts and VMs. */
const displayName = v.pipe(v.string(), v.minLength(1), v.maxLength(64));
const number = v.pipe(v.number(), v.finite());
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const count = v.pipe(v.number(), v.finite(), v.minValue(0));
/** Most bytes in a piece of console input or output; the relay limits the whole message. */
export const MAX_CONSOLE_BYTES = 48 * 1024;
/** The guest's agent takes no more (guest/AGENT.md). */
export const MAX_COLUMNS = 1000;
export const MAX_ROWS = 1000;
/** How many migrations a tab remembers and tells a newcomer about. */
export const MAX_PAST_REPORTS = 50;
/** A century: covers any clock that was set in between, and still gives a valid date. */
export const LONGEST_AGO_MS = 100 * 365 * 24 * 3_600_000;
/** The limit is higher than the number of links that the engine tries in one migration. */
const linkAttempt = v.pipe(count, v.integer(), v.maxValue(16));
/** Four characters for three bytes. */
const consoleBytes = v.pipe(v.string(), v.maxLength((MAX_CONSOLE_BYTES / 3) * 4), v.base64());
/** Even after a piece is added to it, a place is still a safe integer, so it can travel with the VM (vm-host/console-luggage.ts). */
const place = v.pipe(count, v.safeInteger(), v.maxValue(Number.MAX_SAFE_INTEGER - MAX_CONSOLE_BYTES));

const linkKindSchema = v.picklist(['webrtc', 'relay', 'local']);

const migrateOptionsSchema = v.object({
  maxPauseMs: v.optional(v.pipe(number, v.minValue(1), v.maxValue(60_000))),
  mode: v.optional(v.literal('pre-copy')),
  bandwidthBytesPerSecond: v.optional(v.pipe(number, v.minValue(1024))),
  verify: v.optional(v.boolean()),
});

const causes = [
  'cancelled',
  'unknown-vm',
  'unknown-host',
  'already-migrating',
  'target-is-source',
  'version-mismatch',
  'fingerprint-mismatch',
  'target-refused',
  'prepare-failed',
  'link-failed',
  'link-silent',
  'bad-message',
  'message-too-large',
  'not-converging',
  'disk-drain-failed',
  'hold-failed',
  'digest-mismatch',
  'restore-failed',
  'commit-refused',
  'target-silent',
  'relay-lost',
  'vm-ended',
  'internal',
] as const;

const downtime: v.GenericSchema<unknown, Downtime> = v.object(v.entriesFromList(DOWNTIME_PARTS, count));

const reportSchema = v.object({
  id: migrationId,
  vmId,
  from: hostId,
  to: hostId,
  outcome: v.picklist(['completed', 'cancelled', 'failed']),
  reason: v.optional(sentence),
  cause: v.optional(v.picklist(causes)),
  rounds: v.pipe(v.array(v.object({ pages: count, bytes: count, ms: count, dirtied: count })), v.maxLength(1000)),
  pauseMs: count,
  downtime: v.nullable(downtime),
  totalMs: count,
  bytesOnWire: count,
  memoryBytes: count,
  link: v.nullable(linkKindSchema),
  verified: v.nullable(v.boolean()),
});

/** A migration that ended a while ago. Hosts' clocks differ, so its age is sent; VM and host may be gone, so their names are sent too. */
const pastReportSchema = v.object({ agoMs: v.pipe(count, v.maxValue(LONGEST_AGO_MS)), vmName: displayName, toName: displayName, report: reportSchema });

const progressSchema = v.object({
  id: migrationId,
  vmId,
  from: hostId,
  to: hostId,
  phase: v.picklist(['offer', 'prepare', 'rounds', 'hold', 'switchover', 'commit', 'done']),
  round: count,
  pagesLeft: count,
  pagesSent: count,
  bytesSent: count,
  bytesPerSecond: count,
  expectedPauseMs: count,
  targetLoaded: v.optional(share),
  distanceMs: v.optional(count),
});

export const hostMessageSchema = v.variant('type', [
  /** The sender would like to make a WebRTC connection with this nonce. */
  v.object({ type: v.literal('rtc-invite'), nonce: id }),
  /** The sender waits for that connection: dial. */
  v.object({ type: v.literal('rtc-expected'), nonce: id }),
  /** Open your ends of a migration's lanes; you are the target. `attempt` is 0 for its first link, then counts those that replace a dead one. */
  v.object({
    type: v.literal('open-link'),
    migrationId,
    vmId,
    attempt: linkAttempt,
    kind: linkKindSchema,
    channelBase: v.pipe(count, v.integer(), v.maxValue(1022)),
  }),
  v.object({ type: v.literal('link-opened'), migrationId, attempt: linkAttempt }),
  v.object({ type: v.literal('link-refused'), migrationId, attempt: linkAttempt, reason: sentence }),
  /** The sender should become the target, but is still loading the guest and has this share of it: ask again. */
  v.object({ type: v.literal('link-waits'), migrationId, attempt: linkAttempt, loaded: share }),
  /** The source gave the migration up before its first link was open at both ends: nothing will come. */
  v.object({ type: v.literal('link-abandoned'), migrationId }),

  /** To the VM's owner, from any tab of the room; repeated until answered (host-requests.ts). */
  v.object({ type: v.literal('migrate'), requestId: id, vmId, targetId: hostId, options: migrateOptionsSchema }),
  v.object({ type: v.literal('migrated'), requestId: id, report: reportSchema }),
  /** `migrateRequestId`: the sender's own migrate request that this cancels; it may not have arrived yet. */
  v.object({ type: v.literal('cancel'), requestId: id, vmId, migrateRequestId: v.nullable(id) }),
  v.object({ type: v.literal('cancelled'), requestId: id, refusal: v.nullable(sentence) }),
  v.object({ type: v.literal('progress'), progress: progressSchema }),
  v.object({ type: v.literal('report'), report: reportSchema }),

  /** Watch a VM's console from another tab. */
  v.object({ type: v.literal('console-open'), vmId }),
  v.object({ type: v.literal('console-close'), vmId }),
  /** Output; `printed` counts all that the VM has printed, up to the end of `data`. `reset`: the scroll-back, sent on request or because output was missed. */
  v.object({ type: v.literal('console-data'), vmId, reset: v.boolean(), printed: v.pipe(count, v.safeInteger()), data: consoleBytes }),
  /** To the host that runs the VM. Places count bytes of the sender's own input stream; repeated until applied (console-outbox.ts). */
  v.object({ type: v.literal('console-input'), vmId, acknowledged: place, from: place, data: consoleBytes }),
  /** The guest has the first `count` bytes of what the receiver typed. */
  v.object({ type: v.literal('console-applied'), vmId, count: v.pipe(count, v.safeInteger()) }),

  /** To the room: size of a VM's console, and who holds it (console-sizes.ts). `turn` counts claims, `fitting` the holder's size changes since its claim. */
  v.object({
    type: v.literal('console-size'),
    vmId,
    holder: hostId,
    turn: v.pipe(count, v.safeInteger()),
    fitting: v.pipe(count, v.safeInteger()),
    cols: v.pipe(count, v.integer(), v.minValue(1), v.maxValue(MAX_COLUMNS)),
    rows: v.pipe(count, v.integer(), v.minValue(1), v.maxValue(MAX_ROWS)),
  }),
  /** The sender has loaded the guest. */
  v.object({ type: v.literal('host-ready') }),

  /** What only the room's hosts know about a VM. */
  v.object({ type: v.literal('vm-details'), vmId, password: v.nullable(v.pipe(v.string(), v.maxLength(64))), waitingFor: v.nullable(sentence) }),
  /** From a tab that joined, or was cut off for a while, to everybody; answered by `vm-details` of one's own VMs, by `host-ready` and by `past-reports`. */
  v.object({ type: v.literal('details-wanted') }),
  /** The migrations that the sender remembers, of all hosts. They go into the asker's history; those that the sender itself ran are then over for the asker. */
  v.object({ type: v.literal('past-reports'), reports: v.pipe(v.array(pastReportSchema), v.maxLength(MAX_PAST_REPORTS)) }),
]);

export type HostMessage = v.InferOutput<typeof hostMessageSchema>;
export type HostMessageOf<T extends HostMessage['type']> = Extract<HostMessage, { type: T }>;
