/** Reads what `pan`, the checker that Spin generates, printed. Pure. */

export interface PanReport {
  /** The named property that does not hold, the whole condition of an unnamed one, or another kind of error; null: none. */
  readonly violated: string | null;
  readonly errors: number;
  readonly states: number;
  readonly depth: number;
  readonly megabytes: number;
  readonly seconds: number;
  /** Statements of a process that no run reached, as pan names them; `-end-` of an endless process is none. */
  readonly unreached: readonly string[];
  /** Why the search is not to be trusted as complete, in pan's words; empty: all states were explored. */
  readonly incomplete: readonly string[];
}

/** What pan says when it did not look at everything. */
const TRUNCATIONS = [
  /max search depth too small/,
  /out of memory/,
  /memory limit/,
  /Search not completed/,
  /resource/i,
  /hash table too small/,
  /bit state/i,
  /hash-compact/i,
];

/** Takes pan's output apart; null if it is none, or breaks off before the figures. */
export function readPan(output: string): PanReport | null {
  const figures = /State-vector \d+ byte, depth reached (\d+), errors: (\d+)/.exec(output);
  const states = /^\s*(\d+(?:\.\d+)?(?:e\+\d+)?) states, stored/m.exec(output);
  const memory = /^\s*(\d+(?:\.\d+)?)\s+total actual memory usage/m.exec(output);
  const elapsed = /^pan: elapsed time (\d+(?:\.\d+)?(?:e[+-]?\d+)?) seconds/m.exec(output);
  if (figures === null || states === null || memory === null || elapsed === null) return null;
  const errors = Number(figures[2]);
  const incomplete = output
    .split('\n')
    .filter((line) => TRUNCATIONS.some((said) => said.test(line)))
    .map((line) => line.trim());
  return {
    violated: readViolation(output),
    errors,
    states: Number(states[1]),
    depth: Number(figures[1]),
    megabytes: Number(memory[1]),
    seconds: Number(elapsed[1]),
    unreached: readUnreached(output),
    // After an error the search ends on purpose.
    incomplete: errors > 0 ? [] : incomplete,
  };
}

function readViolation(output: string): string | null {
  const assertion = /^pan:\d+: assertion violated (.+?) \(at depth \d+\)/m.exec(output);
  if (assertion !== null) return (assertion[1] ?? '').trim();
  return /^pan:\d+: (.+?)(?: \(at depth \d+\))?$/m.exec(output)?.[1] ?? null;
}

function readUnreached(output: string): string[] {
  const found: string[] = [];
  let process: string | null = null;
  for (const line of output.split('\n')) {
    const heading = /^unreached in (?:proctype|init|claim) ?(\S*)/.exec(line);
    if (heading !== null) process = heading[1] ?? '';
    else if (/^\t\(\d+ of \d+ states\)/.test(line)) process = null;
    else if (process !== null) {
      const statement = /^\t\S+:\d+, state \d+, "(.*)"$/.exec(line)?.[1];
      if (statement !== undefined && statement !== '-end-') found.push(`${process}: ${statement}`);
    }
  }
  return found;
}
