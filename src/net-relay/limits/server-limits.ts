/**
 * How much the server grants its users, known or not. Each limit has a name, a unit and a reason, and is listed with
 * what it applies to: a socket, a VM, a room, or the whole server. `name`: refusals are counted under that name. The
 * signalling server's are in http-server/signalling-limits.ts; what the protocol itself fixes is in relay-protocol.ts.
 */

import type { PaceLimits } from './pace.ts';

const MIB = 1024 * 1024;

// Of a socket.

/**
 * A socket that sends more is read more slowly; what it sends counts once for each receiver. The busiest is a tab whose
 * VM prints without a pause while sixty tabs watch: 2000 messages a second. A migration over the relay takes 64 MiB/s.
 */
export const SOCKET_PACE: PaceLimits = { messagesPerSecond: 2500, messageBurst: 5000, bytesPerSecond: 64 * MIB, byteBurst: 32 * MIB };
/** The longest time, in milliseconds, for which a socket is not read: what was borrowed beyond that is forgiven. */
export const MAX_PAUSE_MS = 5000;

/** Bytes that wait in a socket before frames for it are dropped (`slow-port`). At 20 MB/s, 50 ms. */
export const MAX_FRAME_BACKLOG_BYTES = 1024 * 1024;
/** `too-slow`: bytes that wait in a socket before it is closed. Its client can no longer be told what happens. */
export const MAX_TEXT_BACKLOG_BYTES = 8 * 1024 * 1024;

// Of a VM.

/** `over-rate`: frames a second. A guest has been seen to send 15,000 full ones; acknowledgements may double that. */
export const MAX_FRAMES_PER_SECOND = 30_000;
export const MAX_FRAME_BURST = 6000;
/** `held-too-many`: frames held in a switchover. 4096 of a download at 20 MB/s are 0.3 s: three times the longest pause a migration aims for by default. */
export const MAX_HELD_FRAMES = 4096;
/** `held-too-large`: bytes of them. 0.2 s of the same download; the windows of the connections into a guest are smaller than that together. */
export const MAX_HELD_BYTES = 4 * 1024 * 1024;
/** `held-too-old`: milliseconds. By then, a TCP sender has long retransmitted the frame; older ones would only be noise. */
export const MAX_HELD_AGE_MS = 30_000;
/** Prospective targets at a time. */
export const MAX_TARGETS = 8;
/** Port forwards: a listening socket each. */
export const MAX_FORWARDS_PER_VM = 64;
/** `forward-too-many`: connections on forwarded ports. A thousand idle clients of one VM must not keep the others' out. */
export const MAX_CONNECTIONS_PER_VM = 2048;
/** `outbound-too-many`: TCP connections to the outside, each with a socket of the host machine. */
export const MAX_OUTBOUND_CONNECTIONS_PER_VM = 1024;
/** UDP sockets to the outside; the one unused for longest makes room. */
export const MAX_UDP_FLOWS_PER_VM = 256;

// Of an address.

/** `too-many-tries`: wrong keys. A link that was cut off in a chat is tried a few times; a key has 128 bits or more. */
export const WRONG_KEYS_AT_ONCE = 10;
export const WRONG_KEYS_PER_SECOND = 1;
/** Addresses that gave a wrong key; the least recent are forgotten first. */
export const MAX_ADDRESSES_REMEMBERED = 10_000;

/** Connections of all kinds per second, and in one burst; further ones wait. A class that opens its thirty tabs together makes some hundreds. */
export const CONNECTIONS_PER_SECOND = 100;
export const CONNECTIONS_AT_ONCE = 300;
/** Within a burst, this many are accepted without a pause, the rest at this distance: each takes a millisecond or two, in which nobody else is served. */
export const CONNECTIONS_IN_A_ROW = 20;
export const CONNECTION_DISTANCE_MS = 5;
/** `connections-waiting`: connections that wait, each for five seconds at most. */
export const MAX_CONNECTIONS_WAITING = 500;
/** Milliseconds until a client that guesses keys is told again that its key is not checked. */
export const TOO_MANY_TRIES_ANSWER_MS = 500;

// Of a room, and of an address.

/** For all sockets of a room together, and for all of one address: a class behind one router is a room. */
export const SHARED_PACE: PaceLimits = { messagesPerSecond: 10_000, messageBurst: 20_000, bytesPerSecond: 128 * MIB, byteBurst: 64 * MIB };

// Of a room.

/** For changed lists of hosts and VMs, to all hosts together: a room of 60 of each then hears of changes four times a second. */
export const TELL_ROOM_BYTES_PER_SECOND = 4 * MIB;
/** Pings of all guests together: 40 guests at the default beat, 2 at the shortest. With more, each is pinged less often. */
export const MAX_PROBES_PER_SECOND = 400;
/** `room-full`: hosts. A class or a small audience, each told of every change. */
export const MAX_HOSTS = 128;
/** VMs of one host. Its memory holds few more. */
export const MAX_VMS_PER_HOST = 32;
/** Lanes at a time: two for each migration, with room for attempts that are still dying. */
export const MAX_LANES = 256;
/** VMs remembered after they ended. Nobody reads more; the oldest go first. */
export const MAX_ENDED_VMS = 16;
/** Answers remembered for each host, for a request repeated after its answer was lost. */
export const MAX_REPLIES = 64;

// Of the server.

/** What `createRelay` is given, for a server with other limits than these. */
export interface ServerLimits {
  /** `relay-full`: sockets open at once. */
  readonly sockets: number;
  /**
   * `address-full`: of them, those of one address. A full room behind one router: 128 hosts with a VM or two each, and
   * some lanes. This machine's own addresses, 127.0.0.1 and ::1, have no limit: a proxy on it speaks for everybody.
   */
  readonly socketsPerAddress: number;
  /** VMs at once, of all rooms. Each takes memory, and two listening sockets while it runs. */
  readonly vms: number;
  /** Of them, those that hosts of one address made: two full rooms. */
  readonly vmsPerAddress: number;
  /** `relay-full`: rooms open at once. */
  readonly rooms: number;
  /** `address-full`: of them, those that one address opened. A class in which everybody has a room of his own. */
  readonly roomsPerAddress: number;
  /** Rooms that are stored, since they had a VM. Bounds what strangers can make the store grow to. */
  readonly storedRooms: number;
}

/** A few hundred tabs with a few VMs each. */
export const DEFAULT_LIMITS: ServerLimits = {
  sockets: 4000,
  socketsPerAddress: 600,
  vms: 4000,
  vmsPerAddress: 504,
  rooms: 1000,
  roomsPerAddress: 64,
  storedRooms: 20_000,
};

/** For how many milliseconds the key of a stored room is kept after the last host left. It never expires for a room in use, nor for the default room. */
export const KEEP_UNUSED_ROOM_MS = 30 * 24 * 3_600_000;
/** `waiting-full`: bytes that wait in all sockets together. The socket with the most is closed. */
export const MAX_WAITING_BYTES = 128 * MIB;
/** Captures at a time, of all rooms: each holds CAPTURE_BYTES (gateway/capture.ts) of memory. */
export const MAX_CAPTURES = 8;
/** `downloads-full`: downloads of captures at once, of all rooms. Each holds a copy of a capture until it is read. */
export const MAX_DOWNLOADS = 8;
/** For a server on the open network, where a stranger has rooms of his own only with the code. */
export const PUBLIC_LIMITS: ServerLimits = { ...DEFAULT_LIMITS, socketsPerAddress: 400, roomsPerAddress: 16, vmsPerAddress: 252 };

/** `not-read`: milliseconds in which a piece of a download must be taken. 17 KB/s are enough, and a whole capture is through in half an hour at most. */
export const PIECE_LIMIT_MS = 15_000;
