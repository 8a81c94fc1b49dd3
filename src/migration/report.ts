import type { Downtime } from './downtime.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';

/** Which transport carried the pages. */
export type LinkKind = 'webrtc' | 'relay' | 'local';

/** One pass of pre-copy; the last one is sent while the guest is stopped. */
export interface RoundFigures {
  readonly pages: number;
  readonly bytes: number;
  readonly ms: number;
  /** Pages the guest wrote while this round was sent. */
  readonly dirtied: number;
}

/** What a migration did, sent to everybody in the room when it ends. Times in milliseconds, sizes in bytes. */
export interface MigrationReport {
  readonly id: MigrationId;
  readonly vmId: VmId;
  readonly from: HostId;
  readonly to: HostId;
  readonly outcome: 'completed' | 'cancelled' | 'failed';
  /** A sentence a person can read; absent when completed. */
  readonly reason?: string;
  /** The closed set of causes, for programs; absent when completed. */
  readonly cause?: MigrationCause;
  readonly rounds: readonly RoundFigures[];
  /** From when the source's CPU was told to stop until the target's runs; 0 when the guest was never stopped. */
  readonly pauseMs: number;
  /** The parts of the pause, which add up to it; null if the guest runs where it was, or the target did not report its own parts. */
  readonly downtime: Downtime | null;
  readonly totalMs: number;
  readonly bytesOnWire: number;
  readonly memoryBytes: number;
  /** The last link that the migration used; null: it ended before it had one. */
  readonly link: LinkKind | null;
  /** With `verify: true`: whether both sides' full hashes were equal; otherwise null. */
  readonly verified: boolean | null;
}

export type MigrationPhase = 'offer' | 'prepare' | 'rounds' | 'hold' | 'switchover' | 'commit' | 'done';

/** Sent to everybody in the room several times a second while a migration runs. */
export interface MigrationProgress {
  readonly id: MigrationId;
  readonly vmId: VmId;
  readonly from: HostId;
  readonly to: HostId;
  readonly phase: MigrationPhase;
  readonly round: number;
  readonly pagesLeft: number;
  readonly pagesSent: number;
  readonly bytesSent: number;
  readonly bytesPerSecond: number;
  readonly expectedPauseMs: number;
  /** In phase `offer`: the target is still loading the guest and has this share of it, 0 to 1; the migration waits for it. */
  readonly targetLoaded?: number;
  /**
   * The part of the expected pause that the distance between the two hosts and the relay costs; `maxPauseMs` is on top
   * of it. Only the source knows it.
   */
  readonly distanceMs?: number;
}

/** Why a migration did not complete. Every one has a sentence of its own in `migration-error.ts`. */
export type MigrationCause =
  | 'cancelled'
  | 'unknown-vm'
  | 'unknown-host'
  | 'already-migrating'
  | 'target-is-source'
  | 'version-mismatch'
  | 'fingerprint-mismatch'
  | 'target-refused'
  | 'prepare-failed'
  | 'link-failed'
  | 'link-silent'
  | 'bad-message'
  | 'message-too-large'
  | 'not-converging'
  | 'disk-drain-failed'
  | 'hold-failed'
  | 'digest-mismatch'
  | 'restore-failed'
  | 'commit-refused'
  | 'target-silent'
  | 'relay-lost'
  | 'vm-ended'
  | 'internal';
