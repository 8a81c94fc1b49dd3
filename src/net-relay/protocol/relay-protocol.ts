/**
 * The relay's wire, spoken over two kinds of WebSocket (rules NR1… of PROTOCOL.md). Text messages are JSON and checked
 * against the schemas below at both ends; binary messages carry Ethernet frames (port sockets only).
 *
 *   host socket  /relay/host   one per tab: membership of the room, the list of hosts and VMs, messages between hosts
 *   port socket  /relay/port   one per VM worker: one port of the virtual switch, and the VM's lease
 *   lane socket  /relay/lane   one lane of a migration between two hosts that cannot reach each other directly; its binary
 *                              messages are passed on as they are
 *
 *   binary message := kind:u8  ( length:u16be  frame:bytes[length] )*
 *   kind 0 = frames to or from the guest, kind 1 = inbound frames given back undelivered (source, after `held`)
 */
import * as v from 'valibot';
import type { RoomName } from '../../shared/ids.ts';

/** The server makes its key and prints it. */
export const DEFAULT_ROOM = 'default' as RoomName;

export const RELAY_PROTOCOL_VERSION = 2;

/** Longest Ethernet frame without its checksum: 14 header + 1500 payload, and a VLAN tag's slack. */
export const MAX_FRAME_BYTES = 1518;
/** Frames in one binary message: enough to carry a burst, small enough to leave a socket quickly. */
export const MAX_BATCH_FRAMES = 64;
export const MAX_BINARY_MESSAGE_BYTES = 1 + MAX_BATCH_FRAMES * (2 + MAX_FRAME_BYTES);
/** A text message; the largest body is a PeerJS-free relayed host message. */
export const MAX_TEXT_MESSAGE_BYTES = 256 * 1024;

export const FrameMessageKind = { frames: 0, returned: 1 } as const;

/** Some objects use ids as keys: the stored tokens, the links of a page. A key that every object has would be lost or found there by mistake. */
const PROPERTIES_OF_ALL = new Set([...Object.getOwnPropertyNames(Object.prototype), 'prototype']);
export const idSchema = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9_-]{1,64}$/),
  v.check((name) => !PROPERTIES_OF_ALL.has(name)),
);
const id = idSchema;
const displayName = v.pipe(v.string(), v.minLength(1), v.maxLength(64));
const epoch = v.pipe(v.number(), v.integer(), v.minValue(1));
const requestId = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = v.pipe(v.string(), v.maxLength(1000));
export const roomNameSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/));
const roomKey = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{16,64}$/));

const vmStateSchema = v.picklist(['starting', 'running', 'paused', 'migrating']);

const count = v.pipe(v.number(), v.minValue(0));
/** Frames and bytes that passed the VM's port, and frames it dropped, since the VM was made or the relay started. */
const trafficSchema = v.object({
  vmId: id,
  framesFromGuest: count,
  bytesFromGuest: count,
  framesToGuest: count,
  bytesToGuest: count,
  dropped: count,
});

const hostInfoSchema = v.object({ id, name: displayName });

const forwardSchema = v.object({ guestPort: v.number(), hostPort: v.number() });

const vmInfoSchema = v.object({
  id,
  name: displayName,
  state: vmStateSchema,
  /** The lease's holder. The host may be away (its tab closed or frozen): then `ownerPresent` is false. */
  hostId: id,
  ownerPresent: v.boolean(),
  mac: v.string(),
  ip: v.string(),
  memoryBytes: v.number(),
  epoch,
  forwards: v.array(forwardSchema),
});

/** The longest sentence that says why a VM broke down. */
export const MAX_ENDING_CHARACTERS = 300;
/**
 * How a VM ended. The owner says `tab-closed` (or reloaded), `powered-off` or `failed`. The relay itself knows
 * `forgotten` (by somebody in the room), `expired` (its tab did not come back) and `host-removed` (the room's owner
 * removed its tab).
 */
const ownersEndings = ['tab-closed', 'powered-off', 'failed'] as const;
const ending = v.object({ how: v.picklist(ownersEndings), why: v.optional(v.pipe(v.string(), v.maxLength(MAX_ENDING_CHARACTERS))) });

/** The last message of a tab that is closed or reloaded, sent over HTTP: some browsers have closed its sockets by then. */
export const lastWordSchema = v.object({
  hostId: id,
  hostToken: roomKey,
  /** VMs that end with the tab, at these epochs. */
  vms: v.pipe(v.array(v.object({ vmId: id, epoch, ending })), v.maxLength(64)),
});
export type LastWord = v.InferOutput<typeof lastWordSchema>;

/** A VM that has ended, as the room remembers it. */
const endedVmSchema = v.object({
  id,
  name: displayName,
  /** Its last owner; `hostName` is null if the relay was never told it. */
  hostId: id,
  hostName: v.nullable(displayName),
  how: v.picklist([...ownersEndings, 'forgotten', 'expired', 'host-removed']),
  /** Of `failed`: a sentence of the owner's page, or null. */
  why: v.nullable(text),
  /** Time since it ended, in relay uptime. */
  agoMs: v.pipe(v.number(), v.minValue(0)),
});

/** First message on either socket; anything else first, or none within 5 s, closes it. */
const credentials = {
  version: v.number(),
  room: roomNameSchema,
  /** The room's key (from the link's fragment). The first host to open a room sets it. */
  key: roomKey,
  hostId: id,
  /** Secret of this host id, made by the tab: nobody else can act as this host. */
  hostToken: roomKey,
};
/** Host and port sockets: which connection of the client it is (attempt.ts). */
const attempt = v.optional(v.object({ client: id, number: v.pipe(v.number(), v.safeInteger(), v.minValue(0)) }));

/** The code that a server may ask for when somebody opens a new room. */
export const OPEN_CODE = /^[A-Za-z0-9_-]{6,64}$/;
const openCode = v.pipe(v.string(), v.regex(OPEN_CODE));

/** `gone`: its page said that it was leaving. Otherwise this tab may be a copy of one that is still there. */
const formerHost = v.object({ hostId: id, hostToken: roomKey, gone: v.boolean() });
export type FormerHost = v.InferOutput<typeof formerHost>;

export const hostToRelaySchema = v.variant('type', [
  /** `ownerSecret`: the owner's from then on if this host opens the room (open-rooms.ts), else only checked. `former`: this tab's host before a reload. */
  v.object({
    type: v.literal('hello'),
    ...credentials,
    attempt,
    name: displayName,
    openCode: v.optional(openCode),
    ownerSecret: v.optional(roomKey),
    former: v.optional(formerHost),
  }),
  /** Assigns id, MAC and IP, and gives this host the lease at epoch 1. Answered by `reply` with CreatedVm. */
  v.object({ type: v.literal('create-vm'), requestId, name: v.optional(displayName), memoryBytes: v.number() }),
  /** Owner only: what the VM is doing, shown to the room. */
  v.object({ type: v.literal('vm-state'), vmId: id, epoch, state: vmStateSchema }),
  /** Owner only: the VM ended. Its lease, port and forwards are removed. With `ending`, the room remembers the VM; without, it does not. */
  v.object({ type: v.literal('destroy-vm'), requestId, vmId: id, epoch, ending: v.optional(ending) }),
  /** Anyone: the VM's owner is gone for good. Refused while the owner is present, or if the epoch is not the lease's. Otherwise as if destroyed. */
  v.object({ type: v.literal('forget-vm'), requestId, vmId: id, epoch }),
  /** Anyone: the room need not remember these ended VMs any longer. */
  v.object({ type: v.literal('dismiss-ended'), requestId, vmIds: v.pipe(v.array(id), v.maxLength(64)) }),
  /** To one host of the room; body is the sender's business (src/host/host-messages.ts). */
  v.object({ type: v.literal('to-host'), hostId: id, body: v.unknown() }),
  v.object({ type: v.literal('to-room'), body: v.unknown() }),
  v.object({ type: v.literal('heartbeat'), at: v.number() }),
]);

/**
 * Why the relay closes a socket. `replaced`: a newer socket of the same host took its place. `relay-full`, `address-full`,
 * `too-many-tries` and `too-slow` are worth another try; with any other the client must not come back by itself.
 */
const commonRefusals = [
  'version',
  'key',
  'host-id-taken',
  'malformed',
  'origin',
  'replaced',
  'relay-full',
  'address-full',
  'too-many-tries',
  'open-code',
  'too-slow',
  'removed',
  'room-closed',
] as const;
const hostRefusals = [...commonRefusals, 'room-full'] as const;
const portRefusals = [...commonRefusals, 'unknown-vm', 'stale-epoch', 'not-owner'] as const;

export const relayToHostSchema = v.variant('type', [
  /**
   * `owner`: the secret in the hello is the owner's. `key`: the room's current key, if the hello had an older one (the
   * host is known by its token); null: the relay has forgotten it in a restart.
   */
  v.object({ type: v.literal('welcome'), hostId: id, room: roomNameSchema, heartbeatMs: v.number(), owner: v.boolean(), key: v.optional(v.nullable(roomKey)) }),
  /** The room's owner has changed its key; hosts that are in the room stay. */
  v.object({ type: v.literal('key-changed'), key: roomKey }),
  v.object({ type: v.literal('refused'), cause: v.picklist(hostRefusals), reason: text }),
  v.object({ type: v.literal('room'), hosts: v.array(hostInfoSchema), vms: v.array(vmInfoSchema), ended: v.array(endedVmSchema) }),
  v.object({ type: v.literal('reply'), requestId, ok: v.literal(true), value: v.unknown() }),
  /** `not-stored`: the server's disk refused the write, which says nothing about the request itself. */
  v.object({ type: v.literal('reply'), requestId, ok: v.literal(false), reason: text, cause: v.optional(v.literal('not-stored')) }),
  v.object({ type: v.literal('from-host'), hostId: id, body: v.unknown() }),
  /** to-host could not be delivered: no such host in the room. */
  v.object({ type: v.literal('undeliverable'), hostId: id, body: v.unknown() }),
  /** What the room's gateway measured since the last such message, oldest first. */
  v.object({ type: v.literal('pings'), samples: v.array(v.object({ vmId: id, seq: v.number(), rttMs: v.nullable(v.number()) })) }),
  /** Once a second, the VMs whose figures changed. */
  v.object({ type: v.literal('traffic'), vms: v.array(trafficSchema) }),
  v.object({ type: v.literal('heartbeat'), at: v.number() }),
]);

export const createdVmSchema = v.object({
  vmId: id,
  name: displayName,
  mac: v.string(),
  ip: v.string(),
  netmask: v.string(),
  gateway: v.string(),
  epoch,
});

export const portToRelaySchema = v.variant('type', [
  /** The VM's owner attaches its NIC. Refused unless (vmId, hostId, epoch) is the lease. */
  v.object({ type: v.literal('attach-owner'), ...credentials, attempt, vmId: id, epoch }),
  /** A migration's target attaches before the commit: it gets no frames and may send none until `committed`. */
  v.object({ type: v.literal('attach-target'), ...credentials, attempt, vmId: id, epoch, migrationId: id }),
  /** Source: buffer inbound frames from now on; outbound still pass. Answered by `held`, after the last inbound frame. */
  v.object({ type: v.literal('hold'), migrationId: id, targetHostId: id }),
  /** Source, after its last outbound and returned frame: a commit is allowed from now on. Answered by `drained-ok`. */
  v.object({ type: v.literal('drained'), migrationId: id }),
  /** Source: ends the hold before a commit may be on its way; it may hold again. Answered by `released`. */
  v.object({ type: v.literal('release'), migrationId: id }),
  /** Source, once a commit may be on its way: compare-and-set back. Ends the migration unless it is committed. Answered by `outcome`. */
  v.object({ type: v.literal('abort'), migrationId: id }),
  /** Target: the commit point. Answered by `committed` or `commit-refused`. */
  v.object({ type: v.literal('commit'), migrationId: id, fromHostId: id, fromEpoch: epoch }),
  /** Target: the guest executes. The relay passes it to the source as `outcome`, and answers with the same. */
  v.object({ type: v.literal('alive'), migrationId: id }),
  /** Asked after a reconnect: who owns the VM? Answered by `outcome`. */
  v.object({ type: v.literal('who-owns'), migrationId: id }),
  /** Target, before the commit: does the connection work in both directions? Answered by `probed`; changes nothing. */
  v.object({ type: v.literal('probe'), migrationId: id }),
  v.object({ type: v.literal('heartbeat'), at: v.number() }),
]);

export const relayToPortSchema = v.variant('type', [
  /**
   * `owner`: frames pass. `target`: nothing passes until `committed`. `former-owner`: the lease has moved on in a
   * switchover that was this port's; nothing passes, an `outcome` follows. `epoch` is the lease's, not the one asked for.
   * `wallMs`: the relay's wall clock, in milliseconds since 1970.
   */
  v.object({ type: v.literal('attached'), as: v.picklist(['owner', 'target', 'former-owner']), epoch, heartbeatMs: v.number(), wallMs: v.number() }),
  v.object({
    type: v.literal('refused'),
    cause: v.picklist(portRefusals),
    reason: text,
  }),
  v.object({ type: v.literal('held'), migrationId: id }),
  v.object({ type: v.literal('drained-ok'), migrationId: id }),
  v.object({ type: v.literal('released'), migrationId: id }),
  v.object({ type: v.literal('request-refused'), migrationId: id, request: text, reason: text }),
  v.object({ type: v.literal('probed'), migrationId: id }),
  v.object({ type: v.literal('committed'), migrationId: id, epoch }),
  v.object({ type: v.literal('commit-refused'), migrationId: id, reason: text }),
  /**
   * Who owns the VM, according to the one arbiter. `alive`: the owner is the target and gave its sign of life. While
   * the target owns the VM but is not alive yet, this is not the end: a second `outcome` follows.
   */
  v.object({ type: v.literal('outcome'), migrationId: id, ownerHostId: id, epoch, alive: v.boolean() }),
  /** To a target whose VM was given back: nothing it sends is accepted any more. */
  v.object({ type: v.literal('revoked'), migrationId: id, epoch }),
  /** `echo`: the last heartbeat that came back, and how long it took. */
  v.object({ type: v.literal('heartbeat'), at: v.number(), wallMs: v.number(), echo: v.nullable(v.object({ at: v.number(), rttMs: v.number() })) }),
]);

/** One lane's message at most: the migration's own limit, and slack for its envelope. */
export const MAX_LANE_MESSAGE_BYTES = 64 * 1024 + 256;
/** A side may send this much before the other has consumed it: bounds what the relay holds, and fills 1 MiB per round trip. */
export const LANE_WINDOW_BYTES = 1024 * 1024;

export const laneToRelaySchema = v.variant('type', [
  /** Both sides name the lane and each other; the relay joins them and answers `lane-open`. */
  v.object({ type: v.literal('join-lane'), ...credentials, laneId: id, side: v.picklist(['source', 'target']), peerHostId: id }),
  /** This many bytes were consumed: the other side may send as many more. */
  v.object({ type: v.literal('consumed'), bytes: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LANE_WINDOW_BYTES)) }),
  v.object({ type: v.literal('heartbeat'), at: v.number() }),
]);

const laneRefusals = [...commonRefusals, 'lane-taken', 'lane-closed'] as const;

export const relayToLaneSchema = v.variant('type', [
  v.object({ type: v.literal('lane-open') }),
  v.object({ type: v.literal('consumed'), bytes: v.number() }),
  /** `lane-closed`: the other side closed it or was lost; everything it had sent came before this. */
  v.object({ type: v.literal('refused'), cause: v.picklist(laneRefusals), reason: text }),
  v.object({ type: v.literal('heartbeat'), at: v.number() }),
]);

export type LaneRefusal = (typeof laneRefusals)[number];
export type LaneToRelay = v.InferOutput<typeof laneToRelaySchema>;
export type RelayToLane = v.InferOutput<typeof relayToLaneSchema>;
export type HostRefusal = (typeof hostRefusals)[number];
export type PortRefusal = (typeof portRefusals)[number];
export type HostToRelay = v.InferOutput<typeof hostToRelaySchema>;
export type RelayToHost = v.InferOutput<typeof relayToHostSchema>;
export type PortToRelay = v.InferOutput<typeof portToRelaySchema>;
export type RelayToPort = v.InferOutput<typeof relayToPortSchema>;
export type HostInfo = v.InferOutput<typeof hostInfoSchema>;
export type VmInfo = v.InferOutput<typeof vmInfoSchema>;
export type EndedVm = v.InferOutput<typeof endedVmSchema>;
export type Ending = v.InferOutput<typeof ending>;
export type VmState = v.InferOutput<typeof vmStateSchema>;
export type CreatedVm = v.InferOutput<typeof createdVmSchema>;
export type VmTraffic = v.InferOutput<typeof trafficSchema>;
export type PortForward = v.InferOutput<typeof forwardSchema>;
