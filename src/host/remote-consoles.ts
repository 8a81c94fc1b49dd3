/**
 * Consoles across tabs: every VM of the room has one ConsoleStream here. A VM that runs in this tab feeds it directly,
 * and its output goes to the tabs that watch it. A VM that runs elsewhere is watched through the relay once somebody asks.
 */
import type { Disposable } from '../shared/disposable.ts';
import type { Clock } from '../shared/clock.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import { concatenated, fromBase64, toBase64 } from './console-bytes.ts';
import { ConsoleStream } from './console-stream.ts';
import { MAX_CONSOLE_BYTES, type HostMessage, type HostMessageOf } from './host-messages.ts';

/** Output for watchers is gathered for this long, so that a busy console costs the relay few messages. */
const GATHER_MS = 30;
/** While a console's host has not answered, it is asked at most this often, however often the console is opened. */
const ASK_AGAIN_MS = 1000;

export interface RemoteConsolesOptions {
  readonly clock: Clock;
  readonly send: (to: HostId, message: HostMessage) => void;
  /** Who runs the VM now; null when nobody is known to. */
  readonly ownerOf: (vmId: VmId) => HostId | null;
  readonly self: HostId;
  /** The VM's output comes from this tab, through `output` and `continueHere`. */
  readonly printsHere: (vmId: VmId) => boolean;
  /** The VM is on its way to this tab and will print here. */
  readonly isArriving: (vmId: VmId) => boolean;
}

interface Watched {
  readonly stream: ConsoleStream;
  /** Other tabs that watch a VM of ours. */
  readonly watchers: Set<HostId>;
  /** Output that has not been sent to the watchers yet. */
  pending: Uint8Array[];
  pendingBytes: number;
  gathering: Disposable | null;
  /** The host we asked to show us this console. */
  askedFrom: HostId | null;
  /** When, by the clock. */
  askedAt: number;
  /** The host has sent the scroll-back. A piece of output that comes before that would leave a gap. */
  shown: boolean;
  /** Somebody in this tab looks at it. */
  wanted: boolean;
}

export class RemoteConsoles {
  private readonly options: RemoteConsolesOptions;
  private readonly consoles = new Map<VmId, Watched>();

  constructor(options: RemoteConsolesOptions) {
    this.options = options;
  }

  /** The console of any VM of the room; from now on it is kept up to date here. */
  open(vmId: VmId): ConsoleStream {
    const watched = this.entry(vmId);
    const askedLately = watched.wanted && this.options.clock.now() - watched.askedAt < ASK_AGAIN_MS;
    watched.wanted = true;
    if (!askedLately) this.follow(vmId);
    return watched.stream;
  }

  /** The VM's console was opened here, or it printed here. */
  has(vmId: VmId): boolean {
    return this.consoles.has(vmId);
  }

  /** Output of a VM that runs here. */
  output(vmId: VmId, data: Uint8Array): void {
    const watched = this.entry(vmId);
    if (watched.pendingBytes + data.length > MAX_CONSOLE_BYTES) this.flush(vmId, watched);
    watched.stream.append(data);
    if (watched.watchers.size === 0) return;
    watched.pending.push(data);
    watched.pendingBytes += data.length;
    watched.gathering ??= this.options.clock.setTimeout(() => this.flush(vmId, watched), GATHER_MS);
  }

  /** A VM is about to run here; `scrollback` is the end of what its console has printed. It includes whatever the former host still sends. */
  continueHere(vmId: VmId, scrollback: Uint8Array, printed: number): void {
    const watched = this.entry(vmId);
    watched.askedFrom = null;
    watched.stream.continueWith(scrollback, printed);
    for (const watcher of watched.watchers) this.show(watcher, vmId, watched);
  }

  /** The room changed: watch moved VMs where they are now. */
  follow(vmId: VmId): void {
    const watched = this.entry(vmId);
    const listed = this.options.printsHere(vmId) ? null : this.options.ownerOf(vmId);
    // A VM that is on its way here will print here.
    const owner = listed === this.options.self ? null : listed;
    // Until the host has sent the scroll-back, our request may have been lost.
    if (!watched.wanted || (owner === watched.askedFrom && (owner === null || watched.shown))) return;
    watched.askedFrom = owner;
    watched.askedAt = this.options.clock.now();
    watched.shown = false;
    if (owner !== null) this.options.send(owner, { type: 'console-open', vmId });
  }

  followAll(): void {
    for (const vmId of this.consoles.keys()) this.follow(vmId);
  }

  /**
   * The relay answers again: output printed during the outage reached neither this tab nor the tabs that watch its VMs.
   * The room's list follows, and with it `followAll`.
   */
  returned(): void {
    for (const [vmId, watched] of this.consoles) {
      watched.askedFrom = null;
      for (const watcher of watched.watchers) this.show(watcher, vmId, watched);
    }
  }

  /** A host left: it no longer watches anything. */
  forgetHost(hostId: HostId): void {
    for (const watched of this.consoles.values()) {
      watched.watchers.delete(hostId);
      if (watched.askedFrom === hostId) watched.askedFrom = null;
    }
  }

  receive(from: HostId, message: HostMessageOf<'console-open' | 'console-close' | 'console-data'>): void {
    const vmId = message.vmId;
    switch (message.type) {
      case 'console-open': {
        // The relay may have told other tabs of the move before the VM's worker has told this tab.
        const printsHere = this.options.printsHere(vmId);
        if (!printsHere && !this.options.isArriving(vmId)) return;
        const watched = this.entry(vmId);
        watched.watchers.add(from);
        if (printsHere) this.show(from, vmId, watched);
        break;
      }
      case 'console-close':
        this.consoles.get(vmId)?.watchers.delete(from);
        break;
      case 'console-data': {
        const watched = this.consoles.get(vmId);
        if (watched?.askedFrom !== from) return;
        const data = fromBase64(message.data);
        if (message.reset) {
          watched.shown = true;
          watched.stream.continueWith(data, message.printed);
        } else if (watched.shown && message.printed - data.length === watched.stream.printed) {
          watched.stream.append(data);
        } else if (watched.shown) {
          // Output in between is missing here.
          watched.shown = false;
          this.follow(vmId);
        }
        break;
      }
    }
  }

  /** Shows a watcher the console as it is now. */
  private show(watcher: HostId, vmId: VmId, watched: Watched): void {
    // The scroll-back already contains the output gathered for the others: the new watcher must not get it twice.
    this.flush(vmId, watched);
    const data = toBase64(watched.stream.bytes().slice(-MAX_CONSOLE_BYTES));
    this.options.send(watcher, { type: 'console-data', vmId, reset: true, printed: watched.stream.printed, data });
  }

  private flush(vmId: VmId, watched: Watched): void {
    if (watched.gathering === null) return;
    watched.gathering.dispose();
    watched.gathering = null;
    const whole = concatenated(watched.pending);
    watched.pending = [];
    watched.pendingBytes = 0;
    // The CPU prints a few kilobytes in one turn; more than fits into a message only if the output is not flushed for long.
    for (let at = 0; at < whole.length; at += MAX_CONSOLE_BYTES) {
      const piece = whole.subarray(at, at + MAX_CONSOLE_BYTES);
      const printed = watched.stream.printed - whole.length + at + piece.length;
      const data = toBase64(piece);
      for (const watcher of watched.watchers) this.options.send(watcher, { type: 'console-data', vmId, reset: false, printed, data });
    }
  }

  private entry(vmId: VmId): Watched {
    let watched = this.consoles.get(vmId);
    if (watched === undefined) {
      watched = {
        stream: new ConsoleStream(),
        watchers: new Set(),
        pending: [],
        pendingBytes: 0,
        gathering: null,
        askedFrom: null,
        askedAt: -Infinity,
        shown: false,
        wanted: false,
      };
      this.consoles.set(vmId, watched);
    }
    return watched;
  }
}
