import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from './build-lock.ts';
import { sha256 } from './digest.ts';

/** Progress as people see it: one line per step and, for long steps, how far it is. */
export interface StepProgress {
  readonly step: string;
  readonly state: 'working' | 'done' | 'kept';
  /** What is being done now. */
  readonly text: string;
  /** 0..1, or null when it cannot be known. */
  readonly fraction: number | null;
  /** Time since the step began. */
  readonly ms: number;
}

export interface StepReporter {
  (progress: StepProgress): void;
}

export interface StepWork {
  /** The folder to fill; published only when the step succeeds. */
  readonly folder: string;
  readonly report: (text: string, fraction?: number) => void;
}

/**
 * Runs steps and keeps their results: a step's folder is named by a digest of its inputs, is made under a temporary name
 * and renamed when it is complete, and is found again as long as the inputs stay the same.
 */
export class StepRunner {
  readonly folder: string;
  private readonly reporter: StepReporter;
  private readonly now: () => number;

  constructor(folder: string, reporter: StepReporter, now: () => number = () => performance.now()) {
    this.folder = folder;
    this.reporter = reporter;
    this.now = now;
  }

  /** The folder that holds the step's result. `inputs` must name everything the result depends on. */
  async run(name: string, inputs: Readonly<Record<string, string>>, make: (work: StepWork) => Promise<void>): Promise<string> {
    const key = stepKey(name, inputs);
    const folder = join(this.folder, name, key);
    const began = this.now();
    if (existsSync(folder)) {
      this.reporter({ step: name, state: 'kept', text: 'kept', fraction: 1, ms: 0 });
      return folder;
    }
    const report = (text: string, fraction?: number): void =>
      this.reporter({ step: name, state: 'working', text, fraction: fraction ?? null, ms: this.now() - began });
    report('started');
    const aside = `${folder}.partial-${process.pid}`;
    rmSync(aside, { recursive: true, force: true });
    mkdirSync(aside, { recursive: true });
    try {
      await make({ folder: aside, report });
      // Another process may have finished the same step in the meantime; both results are equivalent.
      if (existsSync(folder)) rmSync(aside, { recursive: true });
      else renameSync(aside, folder);
    } catch (error) {
      rmSync(aside, { recursive: true, force: true });
      throw error;
    }
    this.forgetOthers(name, key);
    this.reporter({ step: name, state: 'done', text: 'done', fraction: 1, ms: this.now() - began });
    return folder;
  }

  /** Deletes results for other inputs, because nobody asks for them again. Keeps what another living process is making. */
  private forgetOthers(name: string, key: string): void {
    for (const entry of readdirSync(join(this.folder, name))) {
      const maker = /\.partial-(\d+)$/.exec(entry)?.[1];
      if (entry === key || (maker !== undefined && isAlive(Number(maker)))) continue;
      rmSync(join(this.folder, name, entry), { recursive: true, force: true });
    }
  }
}

/** Depends on the step's name and on its inputs, not on their order. */
export function stepKey(name: string, inputs: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1));
  return sha256(JSON.stringify([name, sorted])).slice(0, 24);
}
