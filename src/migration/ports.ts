/**
 * What the migration engine needs from the world. The engine imports nothing of v86, WebRTC, the DOM or Node; adapters
 * implement these interfaces, tests implement them in memory.
 */
import type { Bitmap } from '../shared/bitmap.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { LeaseEpoch } from '../shared/ids.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { LinkKind } from './report.ts';

/**
 * RAM, video memory and the disk overlay in one numbering of 4096-byte pages: first RAM by page frame number, then
 * video memory, then the disk's blocks. A page of the disk exists in the overlay once the guest wrote it.
 */
export interface PageSpace {
  readonly ramPages: number;
  readonly videoPages: number;
  readonly diskPages: number;
}

export function totalPages(space: PageSpace): number {
  return space.ramPages + space.videoPages + space.diskPages;
}

/** A VM that runs here and is to be moved away. All page numbers are in its PageSpace. */
export interface SourceVm {
  readonly fingerprint: Fingerprint;
  readonly space: PageSpace;
  /** Starts the dirty log: from the moment it resolves, every write is reported by a later takeDirty(). */
  startDirtyLog(): Promise<void>;
  /**
   * Takes the dirty log: returns the pages written since it was started or last taken, and empties it in the same step.
   * Also correct while the VM is stopped.
   */
  takeDirty(): Promise<Bitmap>;
  /** Stops the dirty log (the migration failed or ended). */
  stopDirtyLog(): void;
  /** Every page that may differ from the base snapshot; cumulative over the VM's life and all its hops. */
  differsFromBase(): Bitmap;
  /** A page of RAM or video memory as in the base snapshot, 4096 bytes that must not be written to; null if the page is zero there or not known. */
  basePage(page: number): Uint8Array | null;
  /** The device state of the base snapshot, which must not be written to; null if it is not known. */
  baseDevices(): Uint8Array | null;
  /** Copies pages into `into` (pages.length * 4096 bytes), in the order given. Synchronous and consistent. */
  readPages(pages: Uint32Array, into: Uint8Array): void;
  /** Leaves the guest this fraction (0..1] of the CPU; 1 = unthrottled. */
  throttle(cpuFraction: number): void;
  /** Stops the CPU; resolves once no guest instruction runs any more. */
  pause(): Promise<void>;
  /** Waits for disk reads in flight and completes them into the guest. Only when paused. Rejects after its own limit. */
  drainDisk(): Promise<void>;
  /** Device state without RAM, video memory and overlay, with console queues and scroll-back. Only when paused. */
  saveDevices(): Promise<Uint8Array>;
  /** Runs the CPU again after pause(); guest time includes the pause. */
  resume(): Promise<void>;
  /** The VM runs elsewhere now: stop for good and free everything. */
  discard(): void;
}

/** A VM that is being received: built from the base snapshot, not running until run(). */
export interface TargetVm {
  readonly fingerprint: Fingerprint;
  readonly space: PageSpace;
  /** As SourceVm.baseDevices. */
  baseDevices(): Uint8Array | null;
  /** Writes pages (data holds pages.length * 4096 bytes). A disk page written becomes part of the overlay. */
  writePages(pages: Uint32Array, data: Uint8Array): void;
  /** Copies pages, as SourceVm.readPages (needed for `verify`). */
  readPages(pages: Uint32Array, into: Uint8Array): void;
  /** Every page that may differ from the base snapshot. */
  differsFromBase(): Bitmap;
  /** Restores what saveDevices() gave. Throws if it does not fit. */
  restoreDevices(state: Uint8Array): Promise<void>;
  /**
   * Starts the CPU. `stoppedForMs`: wall time since the source's CPU stopped, so that guest time is continuous. Rejects
   * only if the CPU does not run.
   */
  run(stoppedForMs: number): Promise<void>;
  /** First sign of life: resolves once the guest has executed instructions after run(). */
  alive(): Promise<void>;
  /** Frees everything; the VM never ran here, or was taken back. */
  discard(): void;
}

/** One direction-independent message channel: reliable, ordered, messages kept whole. */
export interface Lane {
  /**
   * Accepts one message of at most MAX_MESSAGE_BYTES (wire.ts); its buffer belongs to the lane afterwards. Throws MigrationError('link-failed') if closed.
   */
  send(message: Uint8Array): void;
  /** Resolves as soon as more should be sent (backlog below the low-water mark); rejects when the lane closes. */
  writable(): Promise<void>;
  onMessage(listener: (message: Uint8Array) => void): Disposable;
  /** Called once, with a sentence why. */
  onClose(listener: (reason: string) => void): Disposable;
  close(): void;
}

/** A connection between two hosts for one migration. */
export interface Link {
  readonly kind: LinkKind;
  readonly control: Lane;
  readonly bulk: Lane;
  close(): void;
}

/** What became of the lease when its fate was uncertain. */
export type LeaseOutcome =
  | { readonly owner: 'source'; readonly epoch: LeaseEpoch }
  | { readonly owner: 'target'; readonly epoch: LeaseEpoch }
  /** The VM has ended or was forgotten while the source was cut off. `reason` is the relay's sentence. */
  | { readonly owner: 'nobody'; readonly reason: string };

/** The source's side of the arbiter. */
export interface SourceLease {
  readonly epoch: LeaseEpoch;
  /** Asks the relay to buffer frames for the VM; resolves at `held`, after the last inbound frame. */
  hold(): Promise<void>;
  /** After the CPU stopped: gives back inbound frames the guest has not taken, then tells `drained`. */
  drained(): Promise<void>;
  /** Before a commit may be on its way: ends the hold and delivers the buffered frames. */
  release(): Promise<void>;
  /**
   * Once a commit may be on its way: a compare-and-set at the relay. Resolves with who owns the VM. While the relay
   * cannot be reached, it stays pending (and asks again on reconnect), and the VM stays stopped.
   */
  abort(): Promise<LeaseOutcome>;
  /** The relay tells how the switchover ended: the target lives, or the VM was given back (epoch + 2). */
  onOutcome(listener: (outcome: LeaseOutcome) => void): Disposable;
  /** Reports what it waits for while the relay cannot be reached; null once it can. */
  onWaiting(listener: (what: string | null) => void): Disposable;
}

/** The target's side of the arbiter. */
export interface TargetLease {
  /**
   * Asks the relay only for an answer, over the path that the commit will take. Resolves with the round trip in
   * milliseconds; while the relay cannot be reached it stays pending. Rejects with MigrationError('commit-refused' |
   * 'relay-lost') once no commit can succeed any more.
   */
  probe(): Promise<number>;
  /**
   * The commit point: a compare-and-set of the lease from source to target. Resolves with the new epoch, rejects with
   * MigrationError('commit-refused' | 'relay-lost').
   */
  commit(): Promise<LeaseEpoch>;
  /**
   * Tells the relay the target's first sign of life. A promise resolves once the relay has noted it (the VM stays here
   * for good) and rejects with MigrationError('commit-refused') if the VM was given back before; void means no answer.
   */
  alive(): Promise<void> | void;
  /** The relay gave the VM back to the source: stop and discard at once. */
  onRevoked(listener: () => void): Disposable;
  /** Closes the port that was opened for a migration that failed. */
  dispose(): void;
}

/** Block compression (zstd level 1 in the product). */
export interface Compressor {
  compress(data: Uint8Array): Uint8Array;
  /** Throws if the result is not exactly `expectedBytes` long; never allocates more than that. */
  decompress(data: Uint8Array, expectedBytes: number): Uint8Array;
}

/** A 64-bit non-cryptographic hash of one page's content (xxhash64 in the product). */
export type PageHash = (page: Uint8Array) => bigint;
