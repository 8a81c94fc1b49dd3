/** How often a VM runs: what the VM workers of each tab print, so that two running copies would be seen by their tickers. */
import type { Page } from '@playwright/test';
import type { MigrationPhase } from '../../src/migration/report.ts';
import type { HostPage } from './host-page.ts';

/** What a VM worker printed, and when by the machine's clock. */
export interface Piece {
  readonly at: number;
  readonly data: string;
}

/** What the VM workers of a page told it. */
interface Told {
  printedHere: Piece[];
  /** Phases of migrations away from this tab, without those that the page itself reports before the worker has begun. */
  phasesHere: MigrationPhase[];
}

/** Call it before the page loads anything, after `shimWorkers`. Times of output are known only with the shim's `stampOutput`. */
export async function recordWorkers(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const store = window as unknown as Told;
    store.printedHere = [];
    store.phasesHere = [];
    const Inner = window.Worker;
    window.Worker = class extends Inner {
      constructor(script: string | URL, options?: WorkerOptions) {
        super(script, options);
        this.addEventListener(
          'message',
          (event: MessageEvent<{ type?: string; data?: Uint8Array; printedAt?: number; progress?: { phase: MigrationPhase } }>) => {
            const { type, data, printedAt = 0, progress } = event.data;
            if (type === 'console') store.printedHere.push({ at: printedAt, data: new TextDecoder().decode(data) });
            if (type === 'progress' && progress !== undefined) store.phasesHere.push(progress.phase);
          },
        );
      }
    };
  });
}

/** What VM workers of this tab printed, oldest first. */
export async function printedBy(host: HostPage): Promise<readonly Piece[]> {
  return host.page.evaluate(() => (window as unknown as Told).printedHere);
}

/** Whether a VM worker of this tab has reported this phase of a migration. */
export async function toldPhase(host: HostPage, phase: MigrationPhase): Promise<boolean> {
  return host.page.evaluate((wanted) => (window as unknown as Told).phasesHere.includes(wanted), phase);
}

/** Forgets all phases that were reported until now. */
export async function forgetPhases(host: HostPage): Promise<void> {
  await host.page.evaluate(() => {
    (window as unknown as Told).phasesHere = [];
  });
}

/** The ticker's numbers in what these tabs printed, oldest first. A line may be begun by one tab and ended by the next. */
export function ticksIn(...tabs: (readonly Piece[])[]): number[] {
  return numbers(tabs, /ticker (\d+) gap/g);
}

/** How many bad pages each report of pagecheck names, oldest first. */
export function badPagesIn(...tabs: (readonly Piece[])[]): number[] {
  return numbers(tabs, /pagecheck gen=\d+ bad=(\d+)/g);
}

function numbers(tabs: readonly (readonly Piece[])[], pattern: RegExp): number[] {
  const printed = tabs
    .flat()
    .sort((a, b) => a.at - b.at)
    .map(({ data }) => data)
    .join('');
  return [...printed.matchAll(pattern)].map((match) => Number(match[1]));
}
