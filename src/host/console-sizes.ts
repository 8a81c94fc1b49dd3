/**
 * How many columns and rows each VM's console has. One tab holds the size: the tab that last used the console (put the
 * focus into it, or typed). If no tab did, or that tab has left, it is the tab where the VM runs. If the tab that a VM
 * moves away from holds the size, the VM's new tab takes it over. The other tabs show the console in the holder's size.
 *
 * Every tab knows the newest claim for each VM. Claims are numbered by turns. If two tabs claim the same turn, all tabs
 * choose the same one of them, so they agree in whatever order the claims arrive. A holder whose window changes keeps
 * its turn and counts its fittings: so it never takes the console back from a tab that is being used at that moment.
 */
import type { HostId, VmId } from '../shared/ids.ts';
import type { ConsoleSize } from '../vm-host/vm-worker-messages.ts';
import { MAX_COLUMNS, MAX_ROWS, type HostMessage, type HostMessageOf } from './host-messages.ts';

/** What the guest's terminal has until somebody claims it (guest/root/etc/init.d/start). */
export const FIRST_SIZE: ConsoleSize = { cols: 80, rows: 24 };

export type SizeClaim = Omit<HostMessageOf<'console-size'>, 'type' | 'vmId'>;

export interface ConsoleSizesOptions {
  readonly self: HostId;
  readonly sendToRoom: (message: HostMessage) => void;
  readonly send: (to: HostId, message: HostMessage) => void;
  /** The host is in the room, or may still come back after a server outage. */
  readonly isExpected: (hostId: HostId) => boolean;
  /** The room lists the VM, or its worker is here. */
  readonly isKnown: (vmId: VmId) => boolean;
  /** The VM, if its worker is here; the worker tells the guest. Otherwise null. */
  readonly local: (vmId: VmId) => { resizeConsole(size: ConsoleSize): void } | null;
  readonly changed: () => void;
}

export class ConsoleSizes {
  private readonly options: ConsoleSizesOptions;
  private readonly claims = new Map<VmId, SizeClaim>();
  /** What fits into this tab's page, for the consoles it shows. */
  private readonly fitting = new Map<VmId, ConsoleSize>();

  constructor(options: ConsoleSizesOptions) {
    this.options = options;
  }

  /** The console's size now, and the host that holds it; null: no host does. */
  of(vmId: VmId): ConsoleSize & { readonly holder: HostId | null } {
    const claim = this.claims.get(vmId);
    return claim === undefined ? { ...FIRST_SIZE, holder: null } : claim;
  }

  /** This tab shows the console, and `size` fits into it; null: the console is not shown. */
  fits(vmId: VmId, size: ConsoleSize | null): void {
    if (size === null) this.fitting.delete(vmId);
    else this.fitting.set(vmId, bounded(size));
    const { holder } = this.of(vmId);
    if (holder === this.options.self) this.claim(vmId);
    else this.takeIfNobodyHolds(vmId);
  }

  /** Somebody uses the console in this tab. */
  used(vmId: VmId): void {
    if (this.of(vmId).holder !== this.options.self) this.claim(vmId);
  }

  /** The VM's worker is here now, from another host or new. */
  arrived(vmId: VmId, from: HostId | null): void {
    if (from !== null && this.of(vmId).holder === from) this.claim(vmId);
    else this.takeIfNobodyHolds(vmId);
    if (this.claims.has(vmId)) this.options.local(vmId)?.resizeConsole(this.of(vmId));
  }

  hostLeft(): void {
    for (const vmId of this.fitting.keys()) this.takeIfNobodyHolds(vmId);
  }

  /** The relay has sent its list of VMs: claims for VMs that are not known any more are forgotten. */
  listed(): void {
    for (const sizes of [this.claims, this.fitting]) {
      for (const vmId of sizes.keys()) if (!this.options.isKnown(vmId)) sizes.delete(vmId);
    }
  }

  receive({ vmId, cols, rows, holder, turn, fitting }: HostMessageOf<'console-size'>): void {
    this.take(vmId, { cols, rows, holder, turn, fitting });
  }

  /** Another host joined: it hears of the VMs that run here. */
  tell(to: HostId): void {
    for (const [vmId, claim] of this.claims) {
      if (this.options.local(vmId) !== null) this.options.send(to, { type: 'console-size', vmId, ...claim });
    }
  }

  /** The relay answers again: the room may have missed what this tab claimed. */
  returned(): void {
    for (const [vmId, claim] of this.claims) {
      if (claim.holder === this.options.self) this.options.sendToRoom({ type: 'console-size', vmId, ...claim });
    }
  }

  private takeIfNobodyHolds(vmId: VmId): void {
    const { holder } = this.of(vmId);
    if ((holder === null || !this.options.isExpected(holder)) && this.options.local(vmId) !== null) this.claim(vmId);
  }

  private claim(vmId: VmId): void {
    const size = this.fitting.get(vmId);
    if (size === undefined) return;
    const known = this.claims.get(vmId);
    if (known?.holder === this.options.self && known.cols === size.cols && known.rows === size.rows) return;
    const own = known?.holder === this.options.self;
    const claim = { ...size, holder: this.options.self, turn: own ? known.turn : (known?.turn ?? 0) + 1, fitting: own ? known.fitting + 1 : 0 };
    this.take(vmId, claim);
    this.options.sendToRoom({ type: 'console-size', vmId, ...claim });
  }

  private take(vmId: VmId, claim: SizeClaim): void {
    const known = this.claims.get(vmId);
    if (known !== undefined && !isNewer(claim, known)) return;
    this.claims.set(vmId, claim);
    this.options.local(vmId)?.resizeConsole(claim);
    this.options.changed();
  }
}

function isNewer(a: SizeClaim, b: SizeClaim): boolean {
  if (a.turn !== b.turn) return a.turn > b.turn;
  return a.holder === b.holder ? a.fitting > b.fitting : a.holder > b.holder;
}

function bounded({ cols, rows }: ConsoleSize): ConsoleSize {
  return { cols: Math.max(1, Math.min(MAX_COLUMNS, Math.floor(cols))), rows: Math.max(1, Math.min(MAX_ROWS, Math.floor(rows))) };
}
