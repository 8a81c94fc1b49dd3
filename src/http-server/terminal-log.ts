/**
 * The server's terminal output about things that others cause. Others choose some of the words (a VM's name, the text of
 * a message that is not JSON) and how often it happens. So a line is shown in plain characters and cut to a maximum
 * length, and the number of lines per minute is limited.
 */
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';

/** Of each topic: enough to see what goes on, few enough to read. */
export const LINES_A_MINUTE = 10;
/** A stack of Node's ten frames with room for its message. */
export const MAX_LINE_LENGTH = 4000;
const MINUTE_MS = 60_000;

export interface TerminalLog extends Disposable {
  /** Prints lines of one topic (`signalling`). Counts the lines left out, and prints their number at the end of the minute. */
  about(topic: string): (line: string) => void;
}

/** `write` prints one line. */
export function createTerminalLog(write: (line: string) => void, clock: Clock): TerminalLog {
  const topics: Topic[] = [];
  return {
    about(name) {
      const topic = new Topic(name, write, clock);
      topics.push(topic);
      return (line) => topic.say(line);
    },
    dispose() {
      for (const topic of topics) topic.endMinute();
    },
  };
}

class Topic {
  private readonly name: string;
  private readonly write: (line: string) => void;
  private readonly clock: Clock;
  private since = Number.NEGATIVE_INFINITY;
  private said = 0;
  private leftOut = 0;
  private timer: Disposable | null = null;

  constructor(name: string, write: (line: string) => void, clock: Clock) {
    this.name = name;
    this.write = write;
    this.clock = clock;
  }

  say(line: string): void {
    const now = this.clock.now();
    if (now - this.since >= MINUTE_MS) {
      this.endMinute();
      this.since = now;
      this.said = 0;
    }
    if (this.said < LINES_A_MINUTE) {
      this.said += 1;
      this.write(printable(line));
      return;
    }
    this.leftOut += 1;
    this.timer ??= this.clock.setTimeout(() => this.endMinute(), this.since + MINUTE_MS - now);
  }

  /** Prints how many lines were left out. */
  endMinute(): void {
    this.timer?.dispose();
    this.timer = null;
    if (this.leftOut > 0) this.write(`${this.leftOut} more lines about ${this.name} were left out within a minute.`);
    this.leftOut = 0;
  }
}

/**
 * One line without control characters, escape sequences, line breaks or marks that change the writing direction: each is
 * written as `\u{…}`. Stack frames keep their own lines: these are indented, so a stranger's text cannot begin a line.
 */
export function printable(text: string): string {
  const kept = text.length > MAX_LINE_LENGTH ? `${text.slice(0, MAX_LINE_LENGTH)} …` : text;
  return kept.replace(/\n {4}at |[\p{C}\p{Zl}\p{Zp}]/gu, (found) => (found.length > 2 ? found : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`));
}
