/** What startReceiver() (receiver.ts) takes and gives. */
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../shared/ids.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Compressor, Link, PageHash, TargetLease, TargetVm } from './ports.ts';
import type { Clock } from '../shared/clock.ts';
import type { ReceiverState } from './receiver-states.ts';
import type { MigrationCause, MigrationProgress } from './report.ts';

/** What the source says of the VM it wants to send. */
export interface ReceivedOffer {
  readonly migrationId: MigrationId;
  readonly vmId: VmId;
  readonly vmName: string | null;
  readonly from: HostId;
  readonly to: HostId;
  readonly memoryBytes: number;
  readonly fingerprint: Fingerprint;
  readonly verify: boolean;
  /** From the other host and checked by nobody yet: parse it before use. */
  readonly extra: unknown;
}

export interface ReceiverDeps {
  /**
   * Builds the VM from the base snapshot, stopped. Rejects with a sentence, preferably as a MigrationError, if it
   * cannot. The engine owns the result and discards it unless the migration completes.
   */
  readonly prepare: (fingerprint: Fingerprint, offer: ReceivedOffer) => Promise<TargetVm>;
  /** Attaches the VM's port at the relay ahead of the commit. The engine disposes it unless the migration completes. */
  readonly lease: (offer: ReceivedOffer) => Promise<TargetLease> | TargetLease;
  /** The migration that is expected over the link; absent: the first message names it. */
  readonly migrationId?: MigrationId;
  /** Closed when the migration ends. */
  readonly link: Link;
  readonly clock: Clock;
  readonly compressor: Compressor;
  readonly pageHash: PageHash;
  /** As in SenderDeps. */
  readonly nextTask?: () => Promise<void>;
  /** Phase, pages and bytes received; what only the source knows is 0. */
  readonly onProgress?: (progress: MigrationProgress) => void;
  readonly onLog?: (sentence: string) => void;
  /** Each change of state, by the names of PROTOCOL.md: `copying -> holding`. */
  readonly onStep?: (step: string) => void;
  /**
   * The next link the source opens for this migration after the first; called again after each. Absent: a dead link ends
   * the migration. May stay pending for ever; links that come too late are closed.
   */
  readonly nextLink?: () => Promise<Link>;
}

export type ReceiverEnd =
  /** The VM runs here, and the relay has noted its first sign of life. It belongs to the caller now, like the lease. */
  | { readonly outcome: 'completed'; readonly vm: TargetVm; readonly lease: TargetLease; readonly epoch: LeaseEpoch }
  /** The VM does not run here, and nothing of it is left here. */
  | { readonly outcome: 'cancelled' | 'failed'; readonly cause: MigrationCause; readonly reason: string };

export interface ReceiverHandle {
  /** The source's offer, once it came and can be read; null if the migration ended before. */
  readonly offer: Promise<ReceivedOffer | null>;
  /** Never rejects. */
  readonly done: Promise<ReceiverEnd>;
  /** Ends the migration if the relay has not been asked for the commit yet; after that it does nothing. */
  cancel(): void;
  /** As in SenderHandle. */
  state(): ReceiverState['name'];
}
