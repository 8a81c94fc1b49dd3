/**
 * The part that all lanes share: listeners, early messages that are kept until somebody listens, one close with one
 * reason, and waiting for room. A lane file supplies how bytes are sent and how much is still queued.
 */
import type { Lane } from '../migration/ports.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { disposable, type Disposable } from '../shared/disposable.ts';

export interface LaneTransport {
  /** Sends one message now or queues it; throws if the browser refuses it. */
  send(message: Uint8Array): void;
  /** True while another message may be sent without queueing too much. */
  hasRoom(): boolean;
  close(): void;
}

export class LaneCore implements Lane {
  private readonly transport: LaneTransport;
  private messageListener: ((message: Uint8Array) => void) | null = null;
  private early: Uint8Array[] = [];
  private readonly closeListeners = new Set<(reason: string) => void>();
  private waiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
  private closedBecause: string | null = null;

  constructor(transport: LaneTransport) {
    this.transport = transport;
  }

  send(message: Uint8Array): void {
    if (this.closedBecause !== null) throw new MigrationError('link-failed', this.closedBecause);
    try {
      this.transport.send(message);
    } catch (error) {
      const reason = `The connection refused a message of ${message.byteLength} bytes: ${error instanceof Error ? error.message : String(error)}`;
      this.closed(reason);
      throw new MigrationError('link-failed', reason);
    }
  }

  writable(): Promise<void> {
    if (this.closedBecause !== null) return Promise.reject(new MigrationError('link-failed', this.closedBecause));
    if (this.transport.hasRoom()) return Promise.resolve();
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  onMessage(listener: (message: Uint8Array) => void): Disposable {
    this.messageListener = listener;
    const early = this.early;
    this.early = [];
    for (const message of early) listener(message);
    return disposable(() => {
      if (this.messageListener === listener) this.messageListener = null;
    });
  }

  onClose(listener: (reason: string) => void): Disposable {
    if (this.closedBecause !== null) listener(this.closedBecause);
    else this.closeListeners.add(listener);
    return disposable(() => this.closeListeners.delete(listener));
  }

  close(): void {
    this.closed('The connection was closed here.');
  }

  /** A lane file calls this for each arriving message. */
  received(message: Uint8Array): void {
    if (this.closedBecause !== null) return;
    if (this.messageListener === null) this.early.push(message);
    else this.messageListener(message);
  }

  /** A lane file calls this when there may be room again. */
  roomAgain(): void {
    if (this.waiters.length === 0 || !this.transport.hasRoom()) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter.resolve();
  }

  /** A lane file calls this when the connection ended; only the first reason counts. */
  closed(reason: string): void {
    if (this.closedBecause !== null) return;
    this.closedBecause = reason;
    this.transport.close();
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter.reject(new MigrationError('link-failed', reason));
    const listeners = [...this.closeListeners];
    this.closeListeners.clear();
    for (const listener of listeners) listener(reason);
  }
}
