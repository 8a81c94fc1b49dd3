/**
 * A pair of links in memory. A message stays in flight until the world delivers it. If one end closes, the other end
 * hears of it after everything that was sent before, unless the link is cut.
 */
import { disposable, type Disposable } from '../../shared/disposable.ts';
import { MAX_MESSAGE_BYTES } from '../wire.ts';
import { MigrationError } from '../migration-error.ts';
import type { Lane, Link } from '../ports.ts';
import type { LinkKind } from '../report.ts';

type OnTheWay = { readonly message: Uint8Array } | { readonly closed: string };

/** Bytes in flight before writable() waits. */
const HIGH_WATER_BYTES = 256 * 1024;

class MemoryLane implements Lane {
  private readonly name: string;
  private peer: MemoryLane | null = null;
  private onTheWay: OnTheWay[] = [];
  private readonly messageListeners = new Set<(message: Uint8Array) => void>();
  private readonly closeListeners = new Set<(reason: string) => void>();
  private waiters: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  private early: Uint8Array[] = [];
  private closedBecause: string | null = null;
  private lastArrived: Uint8Array | null = null;

  constructor(name: string) {
    this.name = name;
  }

  static pair(name: string): [MemoryLane, MemoryLane] {
    const left = new MemoryLane(`${name} >`);
    const right = new MemoryLane(`${name} <`);
    left.peer = right;
    right.peer = left;
    return [left, right];
  }

  send(message: Uint8Array): void {
    if (this.closedBecause !== null) throw new MigrationError('link-failed', this.closedBecause);
    if (message.length > MAX_MESSAGE_BYTES) throw new RangeError(`${message.length} bytes are more than a lane takes`);
    this.onTheWay.push({ message: message.slice() });
  }

  writable(): Promise<void> {
    if (this.closedBecause !== null) return Promise.reject(new MigrationError('link-failed', this.closedBecause));
    if (this.hasRoom()) return Promise.resolve();
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  onMessage(listener: (message: Uint8Array) => void): Disposable {
    this.messageListeners.add(listener);
    const { early } = this;
    this.early = [];
    for (const message of early) listener(message);
    return disposable(() => this.messageListeners.delete(listener));
  }

  onClose(listener: (reason: string) => void): Disposable {
    if (this.closedBecause !== null) listener(this.closedBecause);
    else this.closeListeners.add(listener);
    return disposable(() => this.closeListeners.delete(listener));
  }

  close(): void {
    if (this.closedBecause !== null) return;
    this.onTheWay.push({ closed: 'The other host closed the connection.' });
    this.closed('The connection was closed here.');
  }

  /** Messages sent here that have not arrived. */
  get waiting(): number {
    return this.onTheWay.length;
  }

  get listeners(): number {
    return this.messageListeners.size + this.closeListeners.size;
  }

  get isClosed(): boolean {
    return this.closedBecause !== null;
  }

  get label(): string {
    return this.name;
  }

  /** The oldest message on its way arrives. */
  deliver(): void {
    const next = this.onTheWay.shift();
    if (next === undefined || this.peer === null) return;
    if ('closed' in next) this.peer.closed(next.closed);
    else {
      this.lastArrived = next.message.slice();
      this.peer.arrived(next.message);
    }
    if (this.hasRoom()) {
      const { waiters } = this;
      this.waiters = [];
      for (const waiter of waiters) waiter.resolve();
    }
  }

  /** Changes the oldest message on its way, or drops it (null), or delivers others in its place. */
  tamper(change: (message: Uint8Array) => readonly Uint8Array[]): void {
    const next = this.onTheWay[0];
    if (next === undefined || 'closed' in next) return;
    this.onTheWay.splice(0, 1, ...change(next.message).map((message) => ({ message })));
  }

  /** What sendAgain() would send; null if nobody would hear it. */
  private get repeatable(): Uint8Array | null {
    if (this.peer === null || this.peer.isClosed) return null;
    const next = this.onTheWay[0];
    return this.lastArrived ?? (next !== undefined && 'message' in next ? next.message : null);
  }

  get canSendAgain(): boolean {
    return this.repeatable !== null;
  }

  /** The message that arrived last, or else the next one, arrives once more after all others. */
  sendAgain(): void {
    const message = this.repeatable;
    if (message !== null) this.onTheWay.push({ message: message.slice() });
  }

  /** The lane dies: what is on its way is lost, and this end hears of it now. */
  cut(reason: string): void {
    this.onTheWay = [];
    this.closed(reason);
  }

  /** The lane dies without anybody noticing: what is sent from now on never arrives. */
  mute(): void {
    this.onTheWay = [];
    this.peer = null;
  }

  private hasRoom(): boolean {
    return this.onTheWay.reduce((sum, item) => sum + ('message' in item ? item.message.length : 0), 0) < HIGH_WATER_BYTES;
  }

  private arrived(message: Uint8Array): void {
    if (this.closedBecause !== null) return;
    if (this.messageListeners.size === 0) this.early.push(message);
    for (const listener of [...this.messageListeners]) listener(message);
  }

  private closed(reason: string): void {
    if (this.closedBecause !== null) return;
    this.closedBecause = reason;
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter.reject(new MigrationError('link-failed', reason));
    const listeners = [...this.closeListeners];
    this.closeListeners.clear();
    for (const listener of listeners) listener(reason);
  }
}

interface MemoryLink extends Link {
  readonly control: MemoryLane;
  readonly bulk: MemoryLane;
}

export interface MemoryLinkPair {
  readonly source: MemoryLink;
  readonly target: MemoryLink;
  /** All four directions. */
  readonly lanes: readonly MemoryLane[];
  /** Nothing arrives for the time being. */
  stalled: boolean;
  /** At least one end still notices what happens to the link. */
  readonly isAlive: boolean;
  /** The connection breaks and both ends notice. */
  cut(): void;
  /** The connection breaks and nobody notices. */
  mute(): void;
}

export function memoryLinkPair(kind: LinkKind = 'local', name = 'link'): MemoryLinkPair {
  const [sourceControl, targetControl] = MemoryLane.pair(`${name} control`);
  const [sourceBulk, targetBulk] = MemoryLane.pair(`${name} bulk`);
  const end = (control: MemoryLane, bulk: MemoryLane): MemoryLink => ({
    kind,
    control,
    bulk,
    close() {
      control.close();
      bulk.close();
    },
  });
  const lanes = [sourceControl, targetControl, sourceBulk, targetBulk];
  let muted = false;
  return {
    source: end(sourceControl, sourceBulk),
    target: end(targetControl, targetBulk),
    lanes,
    stalled: false,
    get isAlive() {
      return !muted && lanes.some((lane) => !lane.isClosed);
    },
    cut: () => lanes.forEach((lane) => lane.cut('The connection broke.')),
    mute() {
      muted = true;
      lanes.forEach((lane) => lane.mute());
    },
  };
}
