/** An attack: what a stranger does to the server, and what the result must be. */
import type { DisposableBag } from '../../src/shared/disposable.ts';
import type { Figures, SoakedServer } from './soaked-server.ts';
import type { Stranger } from './stranger.ts';

export interface Verdict {
  /** What must be true, as a sentence. */
  readonly claim: string;
  readonly holds: boolean;
  /** What was measured. */
  readonly figures: string;
}

/** `short` is for the tests: just enough to show the limit, within seconds. `long` is for a release. */
export type Length = 'short' | 'long';

export interface Attacked {
  readonly server: SoakedServer;
  readonly stranger: Stranger;
  readonly length: Length;
  /** Disposed of when the attack is over. */
  readonly open: DisposableBag;
}

export interface Attack {
  /** Also the name of the attacker's room. */
  readonly name: string;
  /** What it does. */
  readonly title: string;
  /** Main resists it: the short form, which runs in the tests, asserts its verdicts. */
  readonly resisted: boolean;
  run(attacked: Attacked): Promise<readonly Verdict[]>;
}

/** The verdict that something was refused, by the name under which the server counts it. */
export function refusedAs(name: string, before: Figures, after: Figures): Verdict {
  const count = after.counted(name) - before.counted(name);
  return { claim: `refused as ${name}`, holds: count > 0, figures: `${count} times` };
}

/** The verdict that the server's memory grew by no more than `limitMiB`. */
export function grewLittle(beforeMiB: number, peakMiB: number, limitMiB: number): Verdict {
  return {
    claim: `memory grows by less than ${limitMiB} MiB`,
    holds: peakMiB - beforeMiB < limitMiB,
    figures: `${beforeMiB.toFixed(0)} to ${peakMiB.toFixed(0)} MiB`,
  };
}
