/**
 * When to stop the guest: a pure function of measured figures, called after every round (rule MG15). It switches over
 * when what is left is expected to fit into the allowed pause; it polishes while another short round shortens the pause
 * a good deal; when rounds no longer help it slows the guest down step by step, then allows a longer pause, then gives
 * up. Every sequence of figures ends in a bounded number of rounds.
 */
import { assertNever } from '../shared/assert-never.ts';
import { EXPECTED_DEVICE_BYTES } from './limits.ts';

/** The share of the pause that pages may take even if the fixed part alone exceeds the limit; otherwise nothing would ever fit. */
const LEAST_TRANSFER_MS = 5;
/** Below this, what is left is not worth another round. */
const NEGLIGIBLE_TRANSFER_MS = 2;
/** Rounds spent on shortening a pause that fits already. */
const MAX_POLISHING_ROUNDS = 3;
/** A round still improves things if it leaves less than this share of what the previous round left. */
const POLISHING_GAIN = 0.75;
/** A round helps if it leaves at least 4 % less than the best so far: the rule that KubeVirt came to in production. */
const HELPFUL = 0.96;
/** Progress has stalled after this many rounds in a row that did not help, and this much time since the best one. */
const STALLED_ROUNDS = 3;
const STALLED_MS = 1000;
/** The same once the guest is slowed down: the next round shows what a step gained. */
const STALLED_ROUNDS_SLOWED = 2;
/**
 * The same before it gives up: nothing is left to try, and giving up would lose all work done so far. With packet loss
 * the rate has been seen to drop to a tenth for seconds.
 */
const STALLED_AT_LAST_MS = 10_000;
/**
 * The share of the CPU that the guest keeps, step by step. The first step is QEMU's; after it QEMU takes 10 % more each
 * time, which keeps a guest slow for long. Steps of about a third reach the end in half the rounds.
 */
const CPU_STEPS = [0.8, 0.55, 0.35, 0.2, 0.1] as const;
/** How far the limit is stretched once throttling did not help: 100 ms become QEMU's default of 300. */
const RELAXED_FACTOR = 3;
/** Whatever the figures say, this many rounds are enough. */
export const MAX_ROUNDS = 300;
/** Assumed until something is measured: a slow Wi-Fi. */
const ASSUMED_BYTES_PER_SECOND = 5_000_000;

export interface ConvergenceFigures {
  /** Milliseconds, monotonic. */
  readonly at: number;
  /** Rounds completed. */
  readonly rounds: number;
  /** Bytes still to send, at the current compression: pending pages and what the guest wrote since. Bytes in flight do not count. */
  readonly bytesLeft: number;
  /** The target's rate, without the network delay; null before the first measurement. */
  readonly bytesPerSecond: number | null;
  /** Part of the pause that depends on neither the pages nor the distance. */
  readonly fixedPauseMs: number;
  /** What the network delay between source, target and relay adds to the pause. Nothing can shorten it, so the limit comes on top of it. */
  readonly distanceMs: number;
  readonly maxPauseMs: number;
}

/** What the policy remembers from round to round. */
export interface ConvergenceMemory {
  readonly best: { readonly bytesLeft: number; readonly at: number } | null;
  readonly previousBytesLeft: number | null;
  readonly roundsWithoutHelp: number;
  readonly polishingRounds: number;
  /** Fraction of the CPU left to the guest. */
  readonly cpuFraction: number;
  readonly relaxed: boolean;
}

export const FIRST_MEMORY: ConvergenceMemory = {
  best: null,
  previousBytesLeft: null,
  roundsWithoutHelp: 0,
  polishingRounds: 0,
  cpuFraction: 1,
  relaxed: false,
};

export type Decision =
  | { readonly type: 'continue' }
  | { readonly type: 'switch-over' }
  | { readonly type: 'throttle'; readonly cpuFraction: number }
  | { readonly type: 'relax'; readonly maxPauseMs: number }
  | { readonly type: 'give-up' };

export interface Judgement {
  readonly decision: Decision;
  readonly memory: ConvergenceMemory;
  readonly expectedPauseMs: number;
}

/** Decides what follows a completed round. */
export function decide(memory: ConvergenceMemory, figures: ConvergenceFigures): Judgement {
  const { fixedPauseMs, distanceMs } = figures;
  const bytesPerMs = (figures.bytesPerSecond ?? ASSUMED_BYTES_PER_SECOND) / 1000;
  // Rounds go on until the relay holds, so what is left then is what one round leaves.
  const transferMs = figures.bytesLeft / bytesPerMs;
  const devicesMs = EXPECTED_DEVICE_BYTES / bytesPerMs;
  const expectedPauseMs = transferMs + devicesMs + fixedPauseMs + distanceMs;
  const judge = (decision: Decision, changes: Partial<ConvergenceMemory> = {}): Judgement => ({
    decision,
    memory: { ...memory, previousBytesLeft: figures.bytesLeft, ...changes },
    expectedPauseMs,
  });

  if (transferMs <= NEGLIGIBLE_TRANSFER_MS) return judge({ type: 'switch-over' });
  const limit = allowedPauseMs(memory, figures.maxPauseMs);
  const transferLimit = limit - fixedPauseMs - devicesMs;
  if (transferMs <= Math.max(transferLimit, LEAST_TRANSFER_MS)) {
    return polishes(memory, figures) ? judge({ type: 'continue' }, { polishingRounds: memory.polishingRounds + 1 }) : judge({ type: 'switch-over' });
  }
  if (figures.rounds >= MAX_ROUNDS) return judge({ type: 'give-up' });

  const best = { bytesLeft: figures.bytesLeft, at: figures.at };
  if (memory.best === null || figures.bytesLeft <= memory.best.bytesLeft * HELPFUL) {
    return judge({ type: 'continue' }, { best, roundsWithoutHelp: 0 });
  }
  const roundsWithoutHelp = memory.roundsWithoutHelp + 1;
  const stalledRounds = memory.cpuFraction === 1 ? STALLED_ROUNDS : STALLED_ROUNDS_SLOWED;
  if (roundsWithoutHelp < stalledRounds || figures.at - memory.best.at < STALLED_MS) {
    return judge({ type: 'continue' }, { roundsWithoutHelp });
  }
  // Whatever is tried next is measured from this point.
  const afresh = { best, roundsWithoutHelp: 0 };
  const relax = (): Judgement => judge({ type: 'relax', maxPauseMs: figures.maxPauseMs * RELAXED_FACTOR }, { ...afresh, relaxed: true });
  // Slowing the guest down does not make the devices smaller.
  if (transferLimit < LEAST_TRANSFER_MS && !memory.relaxed) return relax();
  const cpuFraction = CPU_STEPS.find((step) => step < memory.cpuFraction);
  if (cpuFraction !== undefined) {
    return judge({ type: 'throttle', cpuFraction }, { ...afresh, cpuFraction });
  }
  if (!memory.relaxed) return relax();
  return figures.at - memory.best.at < STALLED_AT_LAST_MS ? judge({ type: 'continue' }, { roundsWithoutHelp }) : judge({ type: 'give-up' });
}

/** The pause that is currently allowed, without the distance. */
export function allowedPauseMs({ relaxed }: Pick<ConvergenceMemory, 'relaxed'>, maxPauseMs: number): number {
  return maxPauseMs * (relaxed ? RELAXED_FACTOR : 1);
}

/** The decision in words, for the log; null when there is nothing to say. */
export function describeDecision(decision: Decision): string | null {
  switch (decision.type) {
    case 'continue':
    case 'switch-over':
    case 'give-up':
      return null;
    case 'throttle':
      return `The guest writes memory as fast as it can be sent; it is slowed down to ${Math.round(decision.cpuFraction * 100)} % of the CPU.`;
    case 'relax':
      return `Less cannot be left for the pause; one of up to ${Math.round(decision.maxPauseMs)} ms is allowed now.`;
    default:
      return assertNever(decision);
  }
}

function polishes(memory: ConvergenceMemory, figures: ConvergenceFigures): boolean {
  if (memory.polishingRounds >= MAX_POLISHING_ROUNDS) return false;
  return memory.previousBytesLeft === null || figures.bytesLeft <= memory.previousBytesLeft * POLISHING_GAIN;
}
