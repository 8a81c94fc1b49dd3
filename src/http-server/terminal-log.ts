/**
 * What the server says on its terminal about things that others cause. They choose some of the words (a VM's name, the
 * text of a message that is no JSON) and how often it happens, so a line is shown in plain characters and is cut, and
 * there are only so many a minute.
 */
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';

/** Of each topic: enough to see what goes on, few enough to read. */
export const LINES_A_MINUTE = 10;
/** A stack of Node's ten frames with room for its message. */
export const MAX_LINE_LENGTH = 4000;
const MINUTE_MS = 60_000;

export interface TerminalLog extends Disposable {
  /** Says lines of one topic (`signalling`); what is left out is counted, and said at the end of the minute. */
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

  /** Says what was left out. */
  endMinute(): void {
    this.timer?.dispose();
    this.timer = null;
    if (this.leftOut > 0) this.write(`${this.leftOut} more lines about ${this.name} were left out within a minute.`);
    this.leftOut = 0;
  }
}

/**
 * One line without control characters, escape sequences, line breaks or marks that turn the direction of writing: each
 * is written as `\u{…}`. Frames of a stack keep lines of their own: these are indented, so no stranger's text begins one.
 */
export function printable(text: string): string {
  const kept = text.length > MAX_LINE_LENGTH ? `${text.slice(0, MAX_LINE_LENGTH)} …` : text;
  return kept.replace(/\n {4}at |[\p{C}\p{Zl}\p{Zp}]/gu, (found) => (found.length > 2 ? found : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`));
}
