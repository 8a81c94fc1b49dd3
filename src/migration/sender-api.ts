/** What startSender() (sender.ts) takes and gives. */
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { Compressor, Link, PageHash, SourceLease, SourceVm } from './ports.ts';
import type { Clock } from '../shared/clock.ts';
import type { MigrationProgress, MigrationReport } from './report.ts';
import type { SenderState } from './sender-states.ts';

export interface SenderOptions {
  /** Longest pause the switchover may be expected to take, on top of what the distance costs. Default 100. */
  readonly maxPauseMs?: number;
  /** Upper limit for what is sent; default none. */
  readonly bandwidthBytesPerSecond?: number;
  /** Compare all memory at the switchover. Default false. */
  readonly verify?: boolean;
  /** Part of the pause that does not depend on pages, as earlier migrations measured it. */
  readonly fixedPauseMs?: number;
}

interface SenderOffer {
  readonly migrationId: MigrationId;
  readonly vmId: VmId;
  readonly from: HostId;
  readonly to: HostId;
  readonly vmName?: string;
  readonly memoryBytes: number;
  /** Carried to the target as it is; JSON of at most MAX_EXTRA_BYTES. */
  readonly extra: unknown;
}

export interface SenderDeps {
  readonly vm: SourceVm;
  readonly lease: SourceLease;
  /** Closed when the migration ends. */
  readonly link: Link;
  readonly clock: Clock;
  readonly compressor: Compressor;
  readonly pageHash: PageHash;
  /** Resolves in a later task, as soon as the event loop comes round: the guest's turn. Default: the clock's shortest timer. */
  readonly nextTask?: () => Promise<void>;
  readonly offer: SenderOffer;
  readonly options?: SenderOptions;
  /** Several times a second, and at each change of phase. */
  readonly onProgress?: (progress: MigrationProgress) => void;
  /** A sentence for the log. */
  readonly onLog?: (sentence: string) => void;
  /** Each change of state, by the names of PROTOCOL.md: `copying -> holding`. */
  readonly onStep?: (step: string) => void;
  /** What the migration waits for, when it takes long or the relay is away; null when it goes on. */
  readonly onWaiting?: (what: string | null) => void;
  /** Opens another link to the same target after one died; absent: a dead link ends the migration. */
  readonly replaceLink?: () => Promise<Link>;
}

export interface CancelAnswer {
  readonly cancelled: boolean;
  /** What became of the cancel request; if it came too late, where the VM is. */
  readonly sentence: string;
}

export interface SenderHandle {
  /** Never rejects. Resolves when everything is closed, and the VM either runs here again or has gone. */
  readonly done: Promise<MigrationReport>;
  /** Asks to end the migration before the commit; resolves with the answer once it is certain. */
  cancel(): Promise<CancelAnswer>;
  /** The guest ended: there is nothing left to move. `reason` is a sentence; without it, the guest powered off. */
  vmEnded(reason?: string): void;
  /** The target has left the room. If it has not answered the offer, it never will; after the answer, the link reports it (MG31). */
  targetLeft(): void;
  /** Where the migration is, by the names of PROTOCOL.md: for diagnosis and for tests that fail something at a named state. */
  state(): SenderState['name'];
}
