/** How far a tab has started up, what stops it, and the event that its view has changed. */
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { TabView } from './scripting-interface.ts';

/** Changes within this time are reported together: a screen cannot show more. */
const VIEW_AFTER_MS = 16;
/** View changes are reported at most this often: drawing takes time away from the VMs. */
const VIEW_EVERY_MS = 100;
/** No view change is reported for this long after a move has begun: an idle PC has arrived by then, and arrives sooner if nothing is drawn. */
const QUICK_MOVE_MS = 250;

export const LOADING = 'Loading the PC';

export class TabStatus implements Disposable {
  /** Settles once the tab has joined its room or was refused. */
  readonly ready: Promise<void>;
  /** The view has changed; several changes are reported together. */
  readonly viewChanged = new Emitter<void>();
  starting: TabView['starting'] = { text: 'Joining the room', fraction: null };
  trouble: string | null = null;
  private readonly clock: Clock;
  private settleReady: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null;
  private timer: Disposable | null = null;
  private toldAt = Number.NEGATIVE_INFINITY;
  private restsUntil = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.clock = clock;
    this.ready = new Promise<void>((resolve, reject) => {
      this.settleReady = { resolve, reject };
    });
    // It is no error if nobody waits for it.
    this.ready.catch(() => undefined);
  }

  changed(): void {
    this.timer ??= this.clock.setTimeout(
      () => {
        this.timer = null;
        this.toldAt = this.clock.now();
        this.viewChanged.emit();
      },
      Math.max(VIEW_AFTER_MS, this.toldAt + VIEW_EVERY_MS - this.clock.now(), this.restsUntil - this.clock.now()),
    );
  }

  /** A move from or to this tab begins. */
  moveBegins(): void {
    this.restsUntil = this.clock.now() + QUICK_MOVE_MS;
    if (this.timer === null) return;
    this.timer.dispose();
    this.timer = null;
    this.changed();
  }

  joined(): void {
    this.settleReady?.resolve();
  }

  /** The tab was refused for good; `reason` is a sentence. */
  refused(reason: string): void {
    this.trouble = reason;
    this.starting = null;
    this.settleReady?.reject(new Error(reason));
    this.changed();
  }

  isStarting(text: string, fraction: number | null): void {
    this.starting = { text, fraction };
    this.changed();
  }

  /** `failure`: a sentence that says why the start failed. */
  hasStarted(failure: string | null = null): void {
    this.starting = null;
    if (failure !== null) this.trouble = failure;
    this.changed();
  }

  dispose(): void {
    this.timer?.dispose();
  }
}
