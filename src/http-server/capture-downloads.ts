import type { Writable } from 'node:stream';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Counters } from '../shared/counters.ts';
import { MAX_DOWNLOADS, PIECE_LIMIT_MS } from '../net-relay/limits/server-limits.ts';

/** `room-busy`: the room has a download already. */
export type DownloadRefusal = 'room-busy' | 'downloads-full' | 'not-read';

/** A file that keeps memory until it is disposed. */
export interface FilePieces extends Disposable {
  /** Given to the connection one at a time. */
  readonly pieces: readonly Uint8Array[];
}

export interface DownloadFigures {
  readonly open: number;
  readonly refusals: Readonly<Partial<Record<DownloadRefusal, number>>>;
}

/** Downloads of captures: one per room at a time, sent as fast as the client reads, ended if the client does not read. */
export class CaptureDownloads {
  private readonly clock: Pick<Clock, 'setTimeout'>;
  private readonly rooms = new Set<string>();
  private readonly refusals = new Counters<DownloadRefusal>();

  constructor(clock: Pick<Clock, 'setTimeout'>) {
    this.clock = clock;
  }

  /** Takes the room's slot for a download, which `send` releases. If there is no slot, counts the refusal and returns its reason. */
  begin(room: string): 'begun' | 'room-busy' | 'downloads-full' {
    const refusal = this.rooms.has(room) ? 'room-busy' : this.rooms.size >= MAX_DOWNLOADS ? 'downloads-full' : null;
    if (refusal !== null) {
      this.refusals.add(refusal);
      return refusal;
    }
    this.rooms.add(room);
    return 'begun';
  }

  /** Calls `open`, sends the file and ends `out`; destroys `out` if the client does not read. Rejects with what `open` throws. */
  async send(room: string, open: () => FilePieces, out: Writable): Promise<void> {
    let file: FilePieces | null = null;
    try {
      file = open();
      for (const piece of file.pieces) {
        const taken = await this.piece(piece, out);
        if (taken === 'gone') return;
        if (taken === 'not-read') {
          this.refusals.add('not-read');
          out.destroy();
          return;
        }
      }
      out.end();
    } finally {
      file?.dispose();
      this.rooms.delete(room);
    }
  }

  figures(): DownloadFigures {
    return { open: this.rooms.size, refusals: this.refusals.toJSON() };
  }

  private piece(bytes: Uint8Array, out: Writable): Promise<'taken' | 'not-read' | 'gone'> {
    return new Promise((resolve) => {
      if (out.destroyed) {
        resolve('gone');
        return;
      }
      const settle = (how: 'taken' | 'not-read' | 'gone'): void => {
        limit.dispose();
        out.off('close', gone);
        resolve(how);
      };
      const gone = (): void => settle('gone');
      const limit = this.clock.setTimeout(() => settle('not-read'), PIECE_LIMIT_MS);
      out.once('close', gone);
      out.write(bytes, (error) => settle(error ? 'gone' : 'taken'));
    });
  }
}
