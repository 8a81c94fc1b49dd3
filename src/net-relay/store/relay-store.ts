/**
 * What the relay keeps across a restart: the keys of its rooms, its VMs and their leases. A small typed layer over any
 * key-value store; what it reads back is checked like anything else that comes from outside.
 *
 *   room/NAME           → StoredRoom
 *   vm/NAME/VM_ID       → StoredVm
 */
import * as v from 'valibot';
import type { RoomName, VmId } from '../../shared/ids.ts';
import { roomNameSchema } from '../protocol/relay-protocol.ts';
import type { KeyValueStore, WriteUse } from './key-value-store.ts';

const id = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/));
const epoch = v.pipe(v.number(), v.integer(), v.minValue(1));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

/** A host that was away while the key changed more often than this learns the new key from nobody. */
export const MAX_FORMER_KEYS = 8;

const storedRoomSchema = v.object({
  /** SHA-256 of the key, hex. */
  keyDigest: digest,
  /** SHA-256 of keys that it had before, the newest first: hosts that are in the room may come back with one. */
  formerKeyDigests: v.optional(v.pipe(v.array(digest), v.maxLength(MAX_FORMER_KEYS))),
  /** The key itself, only where the server made it and must print it again. */
  key: v.optional(v.string()),
  /** SHA-256 of the owner's secret, hex; absent where nobody is the owner. */
  ownerDigest: v.optional(digest),
  /** The owner's secret itself, where the server made it. */
  ownerSecret: v.optional(v.string()),
  /** When somebody was last seen in it, milliseconds since 1970; absent in what older servers stored. */
  usedAt: v.optional(v.number()),
});

const endedSchema = v.object({ migrationId: id, sourceHostId: id, sourceEpoch: epoch, how: v.picklist(['kept', 'moved', 'given-back']) });

const storedLeaseSchema = v.variant('state', [
  v.object({ state: v.literal('owned'), ownerHostId: id, epoch, ended: v.array(endedSchema) }),
  v.object({
    state: v.literal('committed-unconfirmed'),
    ownerHostId: id,
    epoch,
    ended: v.array(endedSchema),
    migrationId: id,
    sourceHostId: id,
    sourceEpoch: epoch,
  }),
]);

const storedVmSchema = v.object({
  name: v.string(),
  mac: v.pipe(v.string(), v.regex(/^02(:[0-9a-f]{2}){5}$/)),
  ip: v.pipe(v.string(), v.ipv4()),
  memoryBytes: v.number(),
  /** The request that made it, so that a repeated request does not make another. */
  createdBy: v.object({ hostId: id, requestId: v.number() }),
  lease: storedLeaseSchema,
  /** Digests of the tokens of the hosts the lease names: nobody else can speak for them after a restart either. */
  tokens: v.record(id, digest),
  /** Host ports in use, so that a gateway can open the same ones again. */
  forwards: v.array(v.object({ guestPort: v.number(), hostPort: v.number() })),
});

export type StoredRoom = v.InferOutput<typeof storedRoomSchema>;
export type StoredVm = v.InferOutput<typeof storedVmSchema>;
export type StoredLease = v.InferOutput<typeof storedLeaseSchema>;

export interface RelayStore {
  readonly rooms: ReadonlyMap<RoomName, StoredRoom>;
  readonly vms: ReadonlyMap<RoomName, ReadonlyMap<VmId, StoredVm>>;
  /** Records that could not be understood, and were left alone. */
  readonly unreadable: readonly string[];
  /** Each is done when it returns, and not done at all if it throws a StoreRefusal (NR25). */
  putRoom(room: RoomName, record: StoredRoom): void;
  removeRoom(room: RoomName): void;
  putVm(room: RoomName, vmId: VmId, record: StoredVm, use: WriteUse): void;
  removeVm(room: RoomName, vmId: VmId): void;
  close(): Promise<void>;
}

export function openRelayStore(store: KeyValueStore): RelayStore {
  const rooms = new Map<RoomName, StoredRoom>();
  const vms = new Map<RoomName, Map<VmId, StoredVm>>();
  const unreadable: string[] = [];
  for (const [key, value] of store.entries()) {
    const [kind, name, vmId, ...rest] = key.split('/');
    const room = v.safeParse(roomNameSchema, name);
    const asRoom = v.safeParse(storedRoomSchema, value);
    const asVm = v.safeParse(storedVmSchema, value);
    if (kind === 'room' && room.success && vmId === undefined && asRoom.success) {
      rooms.set(room.output as RoomName, asRoom.output);
    } else if (kind === 'vm' && room.success && vmId !== undefined && v.is(id, vmId) && rest.length === 0 && asVm.success) {
      const inRoom = vms.get(room.output as RoomName) ?? new Map<VmId, StoredVm>();
      inRoom.set(vmId as VmId, asVm.output);
      vms.set(room.output as RoomName, inRoom);
    } else {
      unreadable.push(key);
    }
  }
  return {
    rooms,
    vms,
    unreadable,
    putRoom(room, record) {
      store.put(`room/${room}`, record);
      rooms.set(room, record);
    },
    removeRoom(room) {
      store.remove(`room/${room}`);
      rooms.delete(room);
    },
    putVm(room, vmId, record, use) {
      store.put(`vm/${room}/${vmId}`, record, use);
      const inRoom = vms.get(room) ?? new Map<VmId, StoredVm>();
      vms.set(room, inRoom.set(vmId, record));
    },
    removeVm(room, vmId) {
      store.remove(`vm/${room}/${vmId}`);
      vms.get(room)?.delete(vmId);
    },
    close: () => store.close(),
  };
}
