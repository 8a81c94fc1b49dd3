/** How often a VM runs: what the VM workers of each tab print, so that two running copies would be seen by their tickers. */
import type { Page } from '@playwright/test';
import type { HostPage } from './host-page.ts';

/** Call it before the page loads anything, after other shims of its workers. */
export async function recordWorkers(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const store = window as unknown as { printedHere: string };
    store.printedHere = '';
    const Inner = window.Worker;
    window.Worker = class extends Inner {
      constructor(script: string | URL, options?: WorkerOptions) {
        super(script, options);
        this.addEventListener('message', (event: MessageEvent<{ type?: string; data?: string }>) => {
          if (event.data.type === 'console') store.printedHere += event.data.data ?? '';
        });
      }
    };
  });
}

/** The ticker's numbers that VM workers of this tab printed, oldest first. */
export async function ticksHere(host: HostPage): Promise<number[]> {
  const printed = await host.page.evaluate(() => (window as unknown as { printedHere: string }).printedHere);
  return [...printed.matchAll(/ticker (\d+) gap/g)].map((match) => Number(match[1]));
}
