/** The messages between the page and a VM's worker. Both are ours and come from one build, so nothing is checked here. */
import type { LinkEnds } from '../link/lane-end.ts';
import type { LinkKind, MigrationCause, MigrationProgress, MigrationReport } from '../migration/report.ts';
import type { HostId, MacAddress, MigrationId, RoomName, VmId } from '../shared/ids.ts';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import type { InputPiece } from './console-inbox.ts';

/** Columns and rows of the terminal that shows a console. */
export interface ConsoleSize {
  readonly cols: number;
  readonly rows: number;
}

/** How the worker opens its own port at the relay. */
export interface RelayAccess {
  readonly url: string;
  readonly room: RoomName;
  readonly key: string;
  readonly hostId: HostId;
  readonly hostToken: string;
}

/** What a VM keeps for its whole life, wherever it runs; the migration's offer carries it to the target. */
export interface VmIdentity {
  readonly vmId: VmId;
  readonly name: string;
  readonly mac: MacAddress;
  readonly ip: string;
  readonly netmask: string;
  readonly gateway: string;
  readonly password: string;
}

/** How a migration is to be made; part of the scripting interface. */
export interface MigrateOptions {
  /** Longest pause the switchover may be expected to take. Default 100. */
  readonly maxPauseMs?: number;
  /** Only 'pre-copy' so far. */
  readonly mode?: 'pre-copy';
  /** Upper limit for the bulk lane; default none. */
  readonly bandwidthBytesPerSecond?: number;
  /** Hash all of RAM, video memory and overlay on both sides at the switchover. Default false. */
  readonly verify?: boolean;
}

/** How the worker opens a migration's link; through the relay it needs nothing from the page. */
export type MigrationEnds = LinkEnds | { readonly kind: 'relay' };

export type ToVmWorker =
  /** Load the guest, and build the machine from its base snapshot. First, once; the VM may come much later. */
  | { readonly type: 'load'; readonly manifestUrl: string }
  /** The same with a guest that has been loaded. */
  | { readonly type: 'prepare'; readonly guest: GuestSet }
  /** The relay of the VM that this worker is for. Second, once. */
  | { readonly type: 'join'; readonly relay: RelayAccess }
  /** Run it as a new VM. */
  | { readonly type: 'start'; readonly vm: VmIdentity; readonly epoch: number }
  /** Receive a VM over these lanes. */
  | { readonly type: 'receive'; readonly migrationId: MigrationId; readonly from: HostId; readonly ends: MigrationEnds }
  /** Move the VM away over these lanes. */
  | { readonly type: 'migrate'; readonly migrationId: MigrationId; readonly to: HostId; readonly options: MigrateOptions; readonly ends: MigrationEnds }
  /** Another link in place of one that died; at the source, the answer to `link-wanted`. */
  | { readonly type: 'next-link'; readonly attempt: number; readonly ends: MigrationEnds }
  /** Source: there is no other way to the target. */
  | { readonly type: 'no-link'; readonly reason: string }
  /** The migration's report is the answer. */
  | { readonly type: 'cancel' }
  /** The room no longer has the host that the VM is moving to. */
  | { readonly type: 'target-left' }
  | { readonly type: 'console-input'; readonly writer: HostId; readonly piece: InputPiece }
  /** The size of the terminal that shows the console; may come before the VM runs. */
  | { readonly type: 'console-size'; readonly cols: number; readonly rows: number }
  | { readonly type: 'screen'; readonly canvas: OffscreenCanvas | null }
  | { readonly type: 'scancodes'; readonly codes: readonly number[] }
  | { readonly type: 'mouse'; readonly dx: number; readonly dy: number; readonly buttons: readonly [boolean, boolean, boolean] };

/** The guest ended by itself; `orderly` if it powered off, and not if it panicked or the emulator failed. */
export interface GuestEnd {
  readonly reason: string;
  readonly orderly: boolean;
}

export type FromVmWorker =
  /** So much of the guest is loaded, 0 to 1. */
  | { readonly type: 'loading'; readonly share: number }
  /** The guest is loaded. */
  | { readonly type: 'loaded'; readonly guest: GuestSet }
  /** The machine has the base snapshot; `start` or `receive` may follow (they may also be sent before). */
  | { readonly type: 'prepared' }
  /** The new VM runs and has its identity. */
  | { readonly type: 'running'; readonly epoch: number }
  | { readonly type: 'console'; readonly data: Uint8Array }
  /** The guest has received this many bytes of what this host typed. */
  | { readonly type: 'console-applied'; readonly writer: HostId; readonly count: number }
  | { readonly type: 'progress'; readonly progress: MigrationProgress }
  /**
   * Source: the migration ended. If it completed, the VM is gone from this worker. `guestEnd`: set if the migration did
   * not complete and the guest has ended as well.
   */
  | { readonly type: 'report'; readonly report: MigrationReport; readonly guestEnd: GuestEnd | null; readonly epoch: number }
  /** Source: the migration's link died. It needs another one, preferably not of the kind `avoid`. */
  | { readonly type: 'link-wanted'; readonly attempt: number; readonly avoid: LinkKind }
  /** Target: the last of the `printed` bytes that the console has printed so far. From now on its output comes from here. */
  | { readonly type: 'console-continues'; readonly scrollback: Uint8Array; readonly printed: number }
  /** Target: the VM runs here now. */
  | { readonly type: 'arrived'; readonly vm: VmIdentity; readonly epoch: number }
  /** Target: the VM did not arrive, or was taken back. */
  | { readonly type: 'not-arrived'; readonly cause: MigrationCause; readonly reason: string }
  /** The browser could not deliver an order from the page: it is not carried out. */
  | { readonly type: 'unreadable' }
  | { readonly type: 'log'; readonly level: 'info' | 'good' | 'bad'; readonly text: string }
  /** For the trace: a change of a migration's state. */
  | { readonly type: 'step'; readonly step: string }
  /** What the stopped VM waits for; null when it goes on. */
  | { readonly type: 'waiting'; readonly what: string | null }
  | ({ readonly type: 'ended' } & GuestEnd)
  /** The VM cannot go on: a sentence with the cause and the way out. */
  | { readonly type: 'failed'; readonly reason: string };
