/** The page's log: plain sentences about what happened, newest last, kept to a bound. */
import type { VmId } from '../shared/ids.ts';
import type { LogLine } from './scripting-interface.ts';

const MAX_LINES = 500;

export class RoomLog {
  private lines: readonly LogLine[] = [];
  private readonly changed: () => void;
  private readonly wallMs: () => number;

  /** `wallMs`: the computer's own clock, in milliseconds since 1970. */
  constructor(changed: () => void, wallMs: () => number) {
    this.changed = changed;
    this.wallMs = wallMs;
  }

  add(level: LogLine['level'], vmId: VmId | null, text: string): void {
    // The same sentence twice in a row says nothing new (a disk that is retried, a relay that stays away).
    const last = this.lines.at(-1);
    if (last?.text === text && last.vmId === vmId) return;
    this.lines = [...this.lines.slice(-MAX_LINES + 1), { at: this.wallMs(), level, vmId, text }];
    if (level === 'bad') console.warn(`TabMotion: ${text}`);
    this.changed();
  }

  /** Adds what happened before this tab was here, sorted by time. It is not news. */
  addPast(lines: readonly LogLine[]): void {
    this.lines = [...lines, ...this.lines].sort((a, b) => a.at - b.at).slice(-MAX_LINES);
    this.changed();
  }

  view(): readonly LogLine[] {
    return this.lines;
  }
}
