/** The links that the page opens for a migration after its first has died. */
import { MigrationError } from '../migration/migration-error.ts';
import type { Link } from '../migration/ports.ts';
import type { Disposable } from '../shared/disposable.ts';

interface Waiting {
  readonly resolve: (link: Link) => void;
  readonly reject: (error: MigrationError) => void;
}

export class NextLinks implements Disposable {
  private waiting: Waiting | null = null;
  /** Opened before this side asked for it: the other side noticed the loss first. */
  private early: Link | null = null;
  private disposed = false;

  /** Resolves with the next link; rejects if there is none. */
  next(): Promise<Link> {
    const { early } = this;
    this.early = null;
    if (early !== null) return Promise.resolve(early);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }

  opened(link: Link): void {
    const { waiting } = this;
    this.waiting = null;
    if (this.disposed) link.close();
    else if (waiting !== null) waiting.resolve(link);
    else {
      this.early?.close();
      this.early = link;
    }
  }

  /** There is no other way to the other host. */
  failed(reason: string): void {
    this.waiting?.reject(new MigrationError('link-failed', reason));
    this.waiting = null;
  }

  dispose(): void {
    this.disposed = true;
    this.early?.close();
    this.early = null;
    this.failed('The migration has ended.');
  }
}
