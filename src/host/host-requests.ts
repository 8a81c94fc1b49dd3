/**
 * Requests from one host to another, over a relay that loses messages while either host is cut off. The asker repeats a
 * request until it is answered; the other host performs it once and gives the same answer to each repetition.
 */
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { HostId } from '../shared/ids.ts';
import { repeat } from '../shared/repeat.ts';
import { randomId } from './random.ts';

const REPEAT_EVERY_MS = 3000;
/** How many answers are remembered: only recent requests are repeated. */
const MAX_PERFORMED = 256;

/**
 * `not-delivered`: the request never arrived. `host-left`: it may have arrived, but nobody is left to answer.
 * `left-the-room`: the asker itself has left, or the server refused it for good.
 */
export type Outcome<Answer> = { readonly answer: Answer } | { readonly lost: 'not-delivered' | 'host-left' | 'left-the-room' };

interface Pending<Answer> {
  readonly to: HostId;
  readonly settle: (outcome: Outcome<Answer>) => void;
  readonly repeating: Disposable;
  sent: number;
}

export class AskedRequests<Answer> implements Disposable {
  private readonly clock: Clock;
  private readonly pending = new Map<string, Pending<Answer>>();
  private isOver = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** `send` is called with the request's id, again and again until there is an outcome. */
  ask(to: HostId, send: (requestId: string) => void): Promise<Outcome<Answer>> {
    if (this.isOver) return Promise.resolve({ lost: 'left-the-room' });
    const requestId = randomId();
    return new Promise((settle) => {
      const pending: Pending<Answer> = {
        to,
        settle,
        sent: 1,
        repeating: repeat(this.clock, REPEAT_EVERY_MS, () => {
          pending.sent++;
          send(requestId);
        }),
      };
      this.pending.set(requestId, pending);
      send(requestId);
    });
  }

  answered(from: HostId, requestId: string, answer: Answer): void {
    if (this.pending.get(requestId)?.to === from) this.settle(requestId, { answer });
  }

  /** A request could not be delivered. If it had been sent before, the first copy may have arrived, and the host may still answer. */
  undeliverable(to: HostId, requestId: string): void {
    const pending = this.pending.get(requestId);
    if (pending?.to === to && pending.sent === 1) this.settle(requestId, { lost: 'not-delivered' });
  }

  forgetHost(hostId: HostId): void {
    for (const [requestId, { to }] of [...this.pending]) if (to === hostId) this.settle(requestId, { lost: 'host-left' });
  }

  /** Requests after this settle at once. */
  dispose(): void {
    this.isOver = true;
    for (const requestId of [...this.pending.keys()]) this.settle(requestId, { lost: 'left-the-room' });
  }

  private settle(requestId: string, outcome: Outcome<Answer>): void {
    const pending = this.pending.get(requestId);
    if (pending === undefined) return;
    this.pending.delete(requestId);
    pending.repeating.dispose();
    pending.settle(outcome);
  }
}

export class PerformedRequests<Answer> {
  /** Null while it is being performed. */
  private readonly answers = new Map<string, { readonly answer: Answer } | null>();

  /**
   * Performs the request and calls `tell` with its answer. If the same host repeats the request, this only tells the
   * answer again, if there is one yet. `action` does not reject.
   */
  perform(from: HostId, requestId: string, action: () => Promise<Answer>, tell: (answer: Answer) => void): void {
    const key = `${from} ${requestId}`;
    const known = this.answers.get(key);
    if (known !== undefined) {
      if (known !== null) tell(known.answer);
      return;
    }
    this.remember(key, null);
    void action().then((answer) => {
      if (this.answers.has(key)) this.answers.set(key, { answer });
      tell(answer);
    });
  }

  state(from: HostId, requestId: string): 'unknown' | 'being-performed' | { readonly answer: Answer } {
    const known = this.answers.get(`${from} ${requestId}`);
    return known === undefined ? 'unknown' : (known ?? 'being-performed');
  }

  /** Answers a request before it arrives, so that it is not performed when it does. */
  answerAhead(from: HostId, requestId: string, answer: Answer): void {
    this.remember(`${from} ${requestId}`, { answer });
  }

  private remember(key: string, entry: { readonly answer: Answer } | null): void {
    this.answers.set(key, entry);
    for (const oldest of this.answers.keys()) {
      if (this.answers.size <= MAX_PERFORMED) break;
      this.answers.delete(oldest);
    }
  }
}
