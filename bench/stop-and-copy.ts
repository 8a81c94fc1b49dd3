/** v86's own way to move: stop, save_state, send over the same link, restore_state (e2e/pages/stop-and-copy.ts). */
import type { Browser, Page } from '@playwright/test';
import { pollFor } from '../e2e/harness/poll-for.ts';
import type { ServerProcess } from '../e2e/harness/server-process.ts';
import type { StopAndCopyFigures } from '../e2e/pages/stop-and-copy.ts';
import type { GuestLoad } from './migration.ts';

const BOOT_LIMIT_MS = 180_000;

export async function stopAndCopy(browser: Browser, server: ServerProcess, load: GuestLoad): Promise<StopAndCopyFigures> {
  const context = await browser.newContext();
  const open = async (): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(`${server.origin}/e2e/pages/stop-and-copy.html`);
    return page;
  };
  const [source, target] = [await open(), await open()];
  const ids = [`bench${Date.now()}a`, `bench${Date.now()}b`] as const;
  await Promise.all([
    target.evaluate(([self, other]) => window.stopAndCopy.prepare(self, other, false), [ids[1], ids[0]] as const),
    source.evaluate(([self, other]) => window.stopAndCopy.prepare(self, other, true), [ids[0], ids[1]] as const),
  ]);
  await source.evaluate(() => window.stopAndCopy.boot());
  await pollFor('the guest to boot', () => source.evaluate(() => window.stopAndCopy.text().includes('guest# ')), BOOT_LIMIT_MS);
  if (load.command !== '') await source.evaluate((command) => window.stopAndCopy.type(command), load.command);
  await source.waitForTimeout(2000);
  const figures = await source.evaluate(() => window.stopAndCopy.send());
  await context.close();
  return figures;
}
