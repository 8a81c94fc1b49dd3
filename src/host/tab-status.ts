/** How far a tab has come, what stops it, and the news that its view has changed. */
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { TabView } from './scripting-interface.ts';

/** What changes together is told together: a screen shows no more. */
const VIEW_AFTER_MS = 16;
/** The view is told at most this often: drawing it takes time that the VMs have then not. */
const VIEW_EVERY_MS = 100;
/** No view is told for so long after a move has begun: an idle PC has arrived by then, and sooner if nothing is drawn. */
const QUICK_MOVE_MS = 250;

export class TabStatus implements Disposable {
  /** Settled once: the tab has joined its room, or is refused. */
  readonly ready: Promise<void>;
  /** The view has changed; several changes are told together. */
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
    // Nobody has to wait for it.
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

  /** For good, with a sentence. */
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

  /** `failure`: with a sentence. */
  hasStarted(failure: string | null = null): void {
    this.starting = null;
    if (failure !== null) this.trouble = failure;
    this.changed();
  }

  dispose(): void {
    this.timer?.dispose();
  }
}
