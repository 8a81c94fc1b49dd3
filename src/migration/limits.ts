/** Every limit of the migration engine: sizes in bytes or pages, times in milliseconds, each with its reason. */
import { PAGE_SIZE } from '../shared/page.ts';

/** The newest wire format spoken here, and the oldest still understood. */
export const PROTOCOL_VERSION = 3;
export const OLDEST_PROTOCOL_VERSION = 3;

/** One message on a lane: data channels of every browser carry it, and control never waits long behind bulk. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** Pages carried with data by one block; 192 KiB is where zstd stops gaining. */
export const MAX_DATA_PAGES_PER_BLOCK = 48;
/** Zero pages named by one block: bounds the work a message of a few bytes can ask for (16 MiB). */
export const MAX_ZERO_PAGES_PER_BLOCK = 4096;
/** Pages read in one step at the source: the guest shares the thread, and 256 pages are read and hashed in under 1 ms. */
export const MAX_PAGES_PER_STEP = 256;
/** Device state: v86 without RAM and video memory needs well under 1 MiB; ten times that is an error, not a VM. */
export const MAX_DEVICE_STATE_BYTES = 16 * 1024 * 1024;
/** Device state on the wire during the pause, as the difference from the base snapshot's: twice what was measured for a PC. */
export const EXPECTED_DEVICE_BYTES = 4 * 1024;
/** Raw bytes of device state in one message: it fits even if it cannot be compressed. */
export const DEVICE_CHUNK_BYTES = 60 * 1024;
/** Opaque data that travels with the offer (identity of the VM). */
export const MAX_EXTRA_BYTES = 16 * 1024;
/** A reason, a name of a device and so on, in a control message. */
export const MAX_TEXT_LENGTH = 1000;
/** 64 GiB of pages: page numbers stay far inside 32 bits. */
export const MAX_PAGES = 16 * 1024 * 1024;

/** At most this much is sent and not yet acknowledged: bounds what queues up at a slow target; more than delay × rate of any link we know. */
export const MAX_UNACKNOWLEDGED_BYTES = 4 * 1024 * 1024;
/** The target acknowledges at least this often: four full messages. */
export const ACKNOWLEDGE_EVERY_BYTES = 4 * MAX_MESSAGE_BYTES;

/** Both sides say something at least this often. */
export const HEARTBEAT_MS = 1000;
/**
 * After this many heartbeats without a message from the other side the link counts as dead. A tab on a busy machine has
 * been seen to stay silent for seconds, and nothing is at stake: the guest runs, and a switchover has its own limits.
 */
export const SILENT_HEARTBEATS = 12;
/** The same while the target builds the VM, which blocks its thread (for long on a busy machine). PREPARE_LIMIT_MS ends it. */
export const SILENT_HEARTBEATS_PREPARING = 60;
/**
 * If only the bulk lane ends, the reason may still arrive over the control lane: wait this long for it. Order is kept
 * within a lane, not between the two.
 */
export const LAST_WORD_MS = 500;
/** If no bulk data is applied for this long while control messages still arrive, the bulk lane is dead (below 9 KB/s). */
export const BULK_STALL_MS = 30_000;

/** The target answers an offer at once, but on a busy machine its worker may first have to start and to build the VM. */
export const OFFER_LIMIT_MS = 45_000;
/** The target loads the guest's files (perhaps over a slow network) and restores the base snapshot. */
export const PREPARE_LIMIT_MS = 60_000;
/**
 * How long the target may take to prove that it reaches the relay. The guest keeps running, so there is time to reopen
 * a broken socket, which takes long on an overloaded machine. A target that says nothing at all is given up earlier
 * (SILENT_HEARTBEATS).
 */
export const READY_LIMIT_MS = 20_000;
/** While the source waits for that proof, rounds follow each other at once for this long; then each round starts with a rest of READY_REST_MS. */
export const READY_SOON_MS = 1000;
export const READY_REST_MS = 200;
/**
 * A proof older than this says nothing about the current state of that path. The limit is READY_FRESH_PAUSES times the
 * allowed pause if that is longer: a round that fits into the pause may take as long, and this leaves time for the
 * current round and its end.
 */
export const READY_FRESH_MS = 2000;
export const READY_FRESH_PAUSES = 2;
/** One answer of the relay. */
export const HOLD_LIMIT_MS = 5000;
/** CPU stop; v86 needs 0.3-12 ms. Disk drain has its own limit inside the port, which this must exceed. */
export const STOP_LIMIT_MS = 8000;
/** From the stop of the CPU to the relay's answer, as long as the target is heard: restoring takes well under 1 s. */
export const COMMIT_LIMIT_MS = 10_000;
/**
 * Once the guest is stopped, a target that is silent for this long is given up. The limit is longer if a longer pause
 * was allowed, or if the network paths to the target and the relay are slow: PATIENCE_FACTOR times both together.
 */
export const SILENT_SWITCHOVER_MS = 2000;
export const PATIENCE_FACTOR = 3;
/** A target on a busy machine was already silent earlier, when nothing was at stake: it gets that time and half as much again. */
export const QUIET_FACTOR = 1.5;
/** If answers or this host's own part of the pause take long, machines are busy: the rest of the pause may take this many times as long. */
export const SLOW_FACTOR = 10;
/**
 * The target waits this long for the answer to its commit, over a path that it has just proved. Then it tells the
 * source, which asks for its VM; the target waits on for NEVER_RAN_LIMIT_MS, because the answer may only be late. The
 * limit is longer if everything is slow: PATIENCE_FACTOR times what that proof took, or STOPPED_FACTOR times as long as
 * the guest has been stopped by then (COMMIT_LIMIT_MS at most).
 */
export const COMMIT_ANSWER_LIMIT_MS = 1500;
export const STOPPED_FACTOR = 2;
/** In addition with `verify`, while both sides hash all memory: 4 GiB at a slow 150 MB/s. */
export const SCAN_LIMIT_MS = 30_000;
/** How long to wait for the target's own figures after the relay said that the target lives; only the report waits for them. */
export const CONFIRM_LIMIT_MS = 1000;
/** Resuming the CPU and releasing the hold; after this time the end is reported with what is still missing. */
export const WITHDRAW_LIMIT_MS = 5000;
/** Another link in place of a dead one. */
export const RECONNECT_LIMIT_MS = 10_000;
/** Links tried in one migration before it is given up. */
export const MAX_RECONNECTS = 5;
/** The target waits for the offer after its link opened; the source's worker may be just as busy. */
export const FIRST_MESSAGE_LIMIT_MS = 45_000;
/** From the switchover message to devices restored and digests compared. With `verify`, SCAN_LIMIT_MS comes on top. */
export const RESTORE_LIMIT_MS = 10_000;
/** The guest's first instructions after the commit. Far longer than the 2 s after which the relay takes a silent VM back. */
export const ALIVE_LIMIT_MS = 10_000;
/**
 * If a target's commit is not answered, or its CPU did not start, it waits this long for the message that its source
 * has the VM again: the relay's 2 s, or the 10 s after the relay's restart, plus a margin.
 */
export const NEVER_RAN_LIMIT_MS = 15_000;
/** A wait longer than this is logged, together with what it waits for. */
export const SAY_WAITING_AFTER_MS = 3000;

/** Longest expected pause when the caller names none. */
export const DEFAULT_MAX_PAUSE_MS = 100;
/** Stop, device state, restore, commit and run, as measured on the reference machine (FIXED part of the pause). */
export const DEFAULT_FIXED_PAUSE_MS = 30;
/** Progress is reported at most this often. */
export const PROGRESS_EVERY_MS = 100;

/** At most this many bytes of data in a block. */
export const MAX_BLOCK_DATA_BYTES = MAX_DATA_PAGES_PER_BLOCK * PAGE_SIZE;
