/**
 * Shares the time between sockets when many send at once. Their messages are processed one per socket in turn, for a
 * few milliseconds; then everything else has its turn: timers, other connections, what must be sent. A socket whose
 * messages wait is not read, so that little waits here and the rest at its sender.
 */

/** The longest time for messages before everything else has its turn. A message takes some 20 µs. */
export const TURN_MS = 2;

/** A socket that can be told to stop reading for a while. */
export interface Readable {
  pause(): void;
  resume(): void;
}

export class FairTurns {
  private readonly now: () => number;
  private readonly later: (callback: () => void) => void;
  private readonly waiting: Reading[] = [];
  /** When the first message of this turn was processed; null: none yet. */
  private began: number | null = null;
  private isScheduled = false;

  /** `later`: runs `callback` after everything else had its turn. */
  constructor(now: () => number = () => performance.now(), later: (callback: () => void) => void = (callback) => void setImmediate(callback)) {
    this.now = now;
    this.later = later;
  }

  get hasTime(): boolean {
    return this.began === null || this.now() - this.began < TURN_MS;
  }

  /**
   * Processes one message of a socket and charges it to this turn, including the time to read and unmask it: Node reads
   * up to 32 times from a socket that has more before anything else has its turn.
   */
  spend(message: () => void): void {
    this.began ??= this.now();
    try {
      message();
    } finally {
      this.schedule();
    }
  }

  /** The socket has messages that wait for the next turn. */
  waits(reading: Reading): void {
    this.waiting.push(reading);
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.later(() => {
      this.isScheduled = false;
      this.began = null;
      this.turn();
    });
  }

  private turn(): void {
    try {
      for (let reading = this.waiting.shift(); reading !== undefined; reading = this.waiting.shift()) {
        reading.hearOne();
        if (!this.hasTime) break;
      }
    } finally {
      if (this.waiting.length > 0) this.schedule();
    }
  }
}

/** What one socket has sent and is not processed yet, in order. */
export class Reading {
  private readonly turns: FairTurns;
  private readonly socket: Readable;
  private messages: (() => void)[] = [];
  /** Paused by its listener; otherwise paused only until its turn comes. */
  private paused = false;
  private isQueued = false;

  constructor(turns: FairTurns, socket: Readable) {
    this.turns = turns;
    this.socket = socket;
  }

  hear(message: () => void): void {
    if (this.messages.length === 0 && !this.paused && this.turns.hasTime) {
      this.turns.spend(message);
      return;
    }
    this.messages.push(message);
    this.socket.pause();
    this.queue();
  }

  pause(): void {
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.paused = false;
    if (this.messages.length === 0) this.socket.resume();
    else this.queue();
  }

  /** Nobody listens any more; only the other side's goodbye must still be read. */
  end(): void {
    this.messages = [];
    this.resume();
  }

  /** The socket is closed: processes what it sent before, then runs `closed`. */
  close(closed: () => void): void {
    const messages = this.messages;
    this.messages = [];
    this.paused = false;
    try {
      for (const message of messages) message();
    } finally {
      closed();
    }
  }

  /** Called in its turn. */
  hearOne(): void {
    this.isQueued = false;
    if (this.paused) return;
    const message = this.messages.shift();
    try {
      if (message !== undefined) this.turns.spend(message);
    } finally {
      this.goOn();
    }
  }

  /** Does what resume() does, unless the message just processed has paused it. */
  private goOn(): void {
    if (!this.paused) this.resume();
  }

  private queue(): void {
    if (this.isQueued || this.paused) return;
    this.isQueued = true;
    this.turns.waits(this);
  }
}
