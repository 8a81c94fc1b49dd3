/** `window.tabmotion`: the stable interface for demo scripts, exercises and tests. Documented in README.md. */
import type { MigrateOptions } from '../vm-host/vm-worker-messages.ts';
import type { TraceAt } from '../shared/trace.ts';
import type { LinkKind, MigrationProgress, MigrationReport } from '../migration/report.ts';

export interface TabMotionHost {
  readonly id: string;
  readonly name: string;
  readonly self: boolean;
  /** The host has loaded the guest. A move to a host that has not loaded it waits until it has. */
  readonly ready: boolean;
  /** VMs this host runs. */
  readonly vms: number;
}

export type TabMotionVmState = 'starting' | 'running' | 'paused' | 'migrating';

export interface TabMotionVm {
  readonly id: string;
  readonly name: string;
  readonly state: TabMotionVmState;
  readonly hostId: string;
  readonly mac: string;
  readonly ip: string;
  readonly memoryBytes: number;
  readonly epoch: number;
}

export type { MigrateOptions };

export interface PingSample {
  readonly vmId: string;
  readonly seq: number;
  /** null: lost. */
  readonly rttMs: number | null;
}

/** A TCP port on the server's machine (its loopback) that is forwarded to a port of a VM. */
export interface PortForward {
  readonly guestPort: number;
  readonly hostPort: number;
}

/** What passed a VM's port on the room's switch since the port was made, or since the server started. Sent at most once a second. */
export interface VmTraffic {
  readonly vmId: string;
  readonly framesFromGuest: number;
  readonly bytesFromGuest: number;
  readonly framesToGuest: number;
  readonly bytesToGuest: number;
  /** Frames refused or lost; `GET /api/rooms/NAME` has the reasons. */
  readonly dropped: number;
}

export interface CaptureState {
  readonly running: boolean;
  /** Frames that the file would hold now, and older frames that were dropped to make room. */
  readonly frames: number;
  readonly lost: number;
}

/** The frames of the room's network, kept by the server. Everybody who has the room's key may read them. */
export interface RoomCapture {
  state(): Promise<CaptureState>;
  /** Starts a capture, or restarts it if there is one. */
  start(): Promise<CaptureState>;
  /** What was captured so far, as a pcap file. */
  download(): Promise<Blob>;
  /** Ends the capture and deletes its frames. */
  stop(): Promise<void>;
}

/** For a report of a fault: what this tab and the server know of what happened. Without keys and passwords. */
export interface Diagnostics {
  /** When it was made, in ISO 8601 format. */
  readonly made: string;
  readonly browser: string;
  /** The page's address, without what only the room knows. */
  readonly address: string;
  readonly room: string;
  readonly host: { readonly id: string; readonly name: string };
  /** What stops the page from working, or null. */
  readonly trouble: string | null;
  /** Which link reaches each other host. */
  readonly links: Readonly<Record<string, LinkKind | 'trying'>>;
  readonly standby: boolean;
  readonly hosts: readonly TabMotionHost[];
  readonly vms: readonly TabMotionVm[];
  readonly underWay: readonly MigrationProgress[];
  readonly reports: readonly EndedMigration[];
  readonly log: readonly LogLine[];
  readonly trace: TraceAt;
  readonly server: TraceAt | { readonly unreachable: string };
}

export interface VmConsole {
  write(text: string): void;
  /** The scroll-back as text, as far as it is kept. */
  text(): string;
  /** Console output as it comes, in whole characters and with terminal control sequences; returns a function that stops it. */
  onData(callback: (text: string) => void): () => void;
}

export interface TabMotionEvents {
  hosts: readonly TabMotionHost[];
  vms: readonly TabMotionVm[];
  migration: MigrationProgress;
  report: MigrationReport;
  ping: PingSample;
  traffic: VmTraffic;
}

export interface TabMotion {
  readonly ready: Promise<void>;
  readonly room: string;
  readonly host: { readonly id: string; readonly name: string };
  hosts(): TabMotionHost[];
  vms(): TabMotionVm[];
  start(options?: { name?: string; memoryMiB?: number }): Promise<TabMotionVm>;
  migrate(vmId: string, hostId: string, options?: MigrateOptions): Promise<MigrationReport>;
  cancel(vmId: string): Promise<void>;
  console(vmId: string): VmConsole;
  forwards(vmId: string): PortForward[];
  /** `hostPort` 0 (the default): any free one. Rejects with a sentence. */
  addForward(vmId: string, guestPort: number, hostPort?: number): Promise<PortForward>;
  removeForward(hostPort: number): Promise<void>;
  readonly capture: RoomCapture;
  /** What to attach to a bug report. */
  diagnostics(): Promise<Diagnostics>;
  on<E extends keyof TabMotionEvents>(event: E, callback: (value: TabMotionEvents[E]) => void): () => void;
}

/** What the page draws in addition to the scripting interface. */
export interface LogLine {
  /** Date.now() of the line. */
  readonly at: number;
  readonly level: 'info' | 'good' | 'bad';
  readonly vmId: string | null;
  readonly text: string;
}

/** A migration that ended, as this tab remembers it. */
export interface EndedMigration {
  /** Date.now() of its end, by this tab's clock. */
  readonly at: number;
  /** `news`: heard as it ended. `past`: sent by another host when this tab joined or returned. `refusal`: told only to this page. */
  readonly known: 'news' | 'past' | 'refusal';
  /** Names at that time; VM and host may be gone. */
  readonly vmName: string;
  readonly toName: string;
  readonly report: MigrationReport;
}

/** A VM as the page shows it. */
export interface VmView extends TabMotionVm {
  readonly here: boolean;
  /** It was here and runs elsewhere now: the page shows "moved to …" with Bring it back. */
  readonly movedAway: boolean;
  readonly ownerPresent: boolean;
  readonly forwards: readonly PortForward[];
  /** null: not heard yet. */
  readonly traffic: VmTraffic | null;
  /** Root password of this VM, known to the room only. */
  readonly password: string | null;
  /** What the VM waits for while it cannot go on (a lost relay), or null. */
  readonly waitingFor: string | null;
  /** Powered off: the page offers Start again. */
  readonly ended: boolean;
}

/** A VM that has ended, as the room remembers it until somebody dismisses it. */
export interface EndedVmView {
  readonly id: string;
  readonly name: string;
  /** Date.now() of its end, by this tab's clock. */
  readonly at: number;
  /** What became of it, in a sentence. */
  readonly text: string;
  /** It ran in this tab, before the tab was reloaded. */
  readonly wasHere: boolean;
}

export interface TabView {
  readonly room: string;
  /** The whole address with its key: the invitation. */
  readonly invitation: string;
  /** The room's address at this page's origin; on the server's own computer it differs from the invitation. */
  readonly address: string;
  /** Other computers can open the invitation. False where the server listens on its own computer only. */
  readonly othersCanJoin: boolean;
  /** This tab has the rights of the room's owner; anybody who opens `address` has them too. */
  readonly owner: { readonly address: string } | null;
  readonly secure: boolean;
  /** What the tab is doing before it is ready ("Loading the guest, 40 %"), or null. */
  readonly starting: { readonly text: string; readonly fraction: number | null } | null;
  /** What stops the page from working, and what to do about it. */
  readonly trouble: string | null;
  readonly hosts: readonly TabMotionHost[];
  readonly vms: readonly VmView[];
  /** Oldest first; none that `vms` still shows as ended. */
  readonly endedVms: readonly EndedVmView[];
  readonly migrations: readonly MigrationProgress[];
  /** Oldest first. */
  readonly reports: readonly EndedMigration[];
  readonly log: readonly LogLine[];
  /** Which link reaches each other host. */
  readonly links: Readonly<Record<string, LinkKind | 'trying'>>;
  /** A machine is ready here for the next VM. */
  readonly standby: boolean;
}

/** A console as the page's terminal reads it. */
export interface TerminalConsole extends VmConsole {
  writeBytes(bytes: Uint8Array): void;
  /** Characters typed in this tab a while ago that have not reached the VM; they are sent again until they do. A change is reported as a change of the view. */
  waiting(): number;
  /** The scroll-back; `onBytes` continues where it ends, even in the middle of a character. */
  bytes(): Uint8Array;
  onBytes(callback: (data: Uint8Array) => void): () => void;
  /** The console's size, and the host that holds it (console-sizes.ts). A change is reported as a change of the view. */
  size(): { readonly cols: number; readonly rows: number; readonly holder: string | null };
  /** `size` fits into this page; null: the console is not shown. */
  fits(size: { readonly cols: number; readonly rows: number } | null): void;
  /** Somebody put the focus into it here, or typed: from now on it has the size that fits this page. */
  used(): void;
}

/** What the user interface is given: state to draw, and verbs to call. */
export interface Tab extends TabMotion {
  console(vmId: string): TerminalConsole;
  view(): TabView;
  /** After any change of view(); at most ten times a second. */
  onView(callback: () => void): () => void;
  /** Hands the VM's screen to a canvas element (its control was transferred), or null to take it away. */
  attachScreen(vmId: string, canvas: OffscreenCanvas | null): void;
  sendScancodes(vmId: string, codes: readonly number[]): void;
  sendMouse(vmId: string, dx: number, dy: number, buttons: readonly [boolean, boolean, boolean]): void;
  /** Makes the relay forget a VM whose tab is away for good; `epoch` is the VM's epoch as the page saw it. Rejects with a sentence. */
  forget(vmId: string, epoch: number): Promise<void>;
  /** Forgets a VM that ended or moved away. */
  dismiss(vmId: string): void;
  /** Makes the room forget ended VMs. Rejects with a sentence. */
  dismissEnded(vmIds: readonly string[]): Promise<void>;
  /** For the owner, as are the next two; each rejects with a sentence. Those in the room stay; newcomers need the new invitation. */
  changeKey(): Promise<void>;
  /** Ends the host's VMs and changes the key. */
  removeHost(hostId: string): Promise<void>;
  /** Ends all VMs and disconnects everybody, this tab too. */
  closeRoom(): Promise<void>;
}
