/**
 * A worker whose machine is ready at the base snapshot, for the next VM of this tab: building a machine takes longer
 * than anything else in a move. There is at most one such worker, and only while `wanted`. The first one also loads the
 * guest, away from the page's thread, and builds its machine meanwhile.
 */
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { VmHandle } from './vm-handle.ts';

/** The worker is built this long after it was first wanted: by then, whatever caused that no longer needs the processor. */
const BUILD_AFTER_MS = 1500;

export interface StandbyOptions {
  readonly spawn: () => Worker;
  readonly clock: Clock;
  readonly manifestUrl: string;
  /** Whether a worker that nobody needs yet is worth its memory now. */
  readonly wanted: () => boolean;
}

export class Standby implements Disposable {
  private readonly options: StandbyOptions;
  private guest: GuestSet | null = null;
  private loading: VmHandle | null = null;
  private ready: VmHandle | null = null;
  private timer: Disposable | null = null;
  /** A worker could not be built: that is not tried again. A VM that needs a worker says why. */
  private hasFailed = false;

  constructor(options: StandbyOptions) {
    this.options = options;
  }

  /** A worker is ready, or is being built. */
  get isThere(): boolean {
    return (this.ready ?? this.loading) !== null;
  }

  /** Loads the guest. One call at a time. Rejects with a sentence; it may be tried again. */
  load(onProgress: (share: number) => void): Promise<GuestSet> {
    return new Promise((resolve, reject) => {
      const handle = new VmHandle(this.options.spawn);
      this.loading = handle;
      handle.messages.on((message) => {
        if (message.type === 'loading') onProgress(message.share);
        else if (message.type === 'loaded') {
          this.loading = null;
          this.guest = message.guest;
          this.stands(handle);
          this.reconsider();
          resolve(message.guest);
        } else if (message.type === 'failed' && this.loading === handle) {
          this.loading = null;
          handle.dispose();
          reject(new Error(message.reason));
        }
      });
      handle.post({ type: 'load', manifestUrl: this.options.manifestUrl });
    });
  }

  /** What `wanted` asks about may have changed. */
  reconsider(): void {
    if (!this.isWanted()) {
      this.end();
    } else if (this.ready === null) {
      this.timer ??= this.options.clock.setTimeout(() => {
        this.timer = null;
        if (this.isWanted()) this.build();
      }, BUILD_AFTER_MS);
    }
  }

  /** A worker with this guest's machine: the one that is ready, or a new one that begins to build it. Throws if no worker can be made. */
  take(guest: GuestSet): VmHandle {
    const { ready } = this;
    this.ready = null;
    this.end();
    return ready ?? this.spawn(guest);
  }

  /** A load under way does not settle any more. */
  dispose(): void {
    this.end();
    this.loading?.dispose();
    this.loading = null;
  }

  private end(): void {
    this.timer?.dispose();
    this.timer = null;
    this.ready?.dispose();
    this.ready = null;
  }

  private stands(handle: VmHandle): void {
    this.ready = handle;
    handle.messages.on(({ type }) => {
      if (type === 'failed' && this.ready === handle) this.failed();
    });
  }

  private isWanted(): boolean {
    return this.guest !== null && !this.hasFailed && this.options.wanted();
  }

  private build(): void {
    if (this.guest === null || this.ready !== null) return;
    try {
      this.stands(this.spawn(this.guest));
    } catch {
      this.failed();
    }
  }

  private failed(): void {
    this.hasFailed = true;
    this.end();
  }

  private spawn(guest: GuestSet): VmHandle {
    const handle = new VmHandle(this.options.spawn);
    handle.post({ type: 'prepare', guest });
    return handle;
  }
}
