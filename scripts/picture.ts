/**
 * `npx tsx scripts/picture.ts`: makes docs/picture.png for the README out of the real thing. Starts the server, opens
 * two tabs of one room, lets the guest count, and takes both tabs while the PC moves from one to the other, side by side.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Page } from 'playwright';
import { CHROMIUM_FLAGS } from '../e2e/harness/chromium-flags.ts';
import { HostPage } from '../e2e/harness/host-page.ts';
import { pollFor } from '../e2e/harness/poll-for.ts';
import { roomWith } from '../e2e/harness/room.ts';
import { startServer } from '../e2e/harness/server-process.ts';
import { ensureGuest } from '../guest/ensure-guest.ts';
import { buildPage } from '../src/http-server/build-page.ts';
import { findChromium } from '../e2e/harness/find-chromium.ts';

const TARGET = join(fileURLToPath(new URL('..', import.meta.url)), 'docs', 'picture.png');
/** A picture in a repository stays small. */
const MAX_BYTES = 300_000;
const TAB = { width: 1000, height: 740 };
const MARGIN = 20;
/** Slow enough for screenshots of both tabs in the middle of the move. */
const BYTES_PER_SECOND = 250_000;
/** A busy machine produces figures that nobody would see otherwise. */
const MAX_PAUSE_MS = 400;
/** The ping strip needs some seconds to tell its story. */
const WARM_UP_LINES = 25;
const SETTLE_MS = 300;

const onProgress = (line: string): void => console.log(line);
await ensureGuest({ onProgress });
await buildPage({ onProgress });
const server = await startServer({ testBuild: false });
const browser = await chromium.launch({ executablePath: findChromium(), args: [...CHROMIUM_FLAGS] });
try {
  const context = await browser.newContext({ viewport: TAB, colorScheme: 'light' });
  const room = roomWith('demo', randomBytes(24).toString('base64url'));
  const from = await openTab(await context.newPage(), 'Ada’s laptop');
  const vm = await from.runningVm();
  const to = await openTab(await context.newPage(), 'Grace’s laptop');
  await from.waitForHosts(2);
  await from.type(vm.id, '\nticker 1000\n');
  await from.waitForText(vm.id, new RegExp(`ticker ${WARM_UP_LINES} `), 120_000);

  const moved = from.page.evaluate(([vmId, hostId, bandwidthBytesPerSecond]) => window.tabmotion.migrate(vmId, hostId, { bandwidthBytesPerSecond }), [
    vm.id,
    await to.id(),
    BYTES_PER_SECOND,
  ] as const);
  await pollFor('the middle of the move', async () => Number(await from.page.getByRole('progressbar').first().getAttribute('aria-valuenow')) >= 40, 60_000);
  const pictures = [await picture(from.page), await picture(to.page)];
  const report = await moved;
  console.log(`${report.outcome}: ${report.pauseMs} ms pause, ${report.bytesOnWire} bytes`);
  if (report.outcome !== 'completed' || report.pauseMs > MAX_PAUSE_MS) {
    throw new Error(
      `A picture of this would not show what TabMotion does (${report.reason ?? `paused for ${report.pauseMs} ms`}). Try again when this machine is less busy.`,
    );
  }

  const whole = await sideBySide(await context.newPage(), pictures);
  if (whole.length > MAX_BYTES) throw new Error(`The picture has ${whole.length} bytes; at most ${MAX_BYTES} are wanted. Make TAB smaller.`);
  await mkdir(dirname(TARGET), { recursive: true });
  await writeFile(TARGET, whole);
  console.log(`${TARGET}: ${whole.length} bytes`);

  async function openTab(page: Page, name: string): Promise<HostPage> {
    const tab = new HostPage(page, name);
    await tab.open(room.address(server.origin, { name }));
    return tab;
  }
} finally {
  await browser.close();
  await server.stop();
}

/** The tab as a person looking at it sees it: in front, with everything drawn. */
async function picture(page: Page): Promise<Buffer> {
  await page.bringToFront();
  await page.waitForTimeout(SETTLE_MS);
  return page.screenshot({ type: 'png', animations: 'allow' });
}

/** Both tabs on one sheet, each with rounded corners. */
async function sideBySide(page: Page, pictures: readonly Buffer[]): Promise<Buffer> {
  await page.setViewportSize({ width: pictures.length * (TAB.width + MARGIN) + MARGIN, height: TAB.height + 2 * MARGIN });
  const images = pictures.map((bytes) => `<img src="data:image/png;base64,${bytes.toString('base64')}">`).join('');
  await page.setContent(`<style>
    body { margin: 0; padding: ${MARGIN}px; display: flex; gap: ${MARGIN}px; background: #c9cdd3; }
    img { width: ${TAB.width}px; height: ${TAB.height}px; border-radius: 12px; }
  </style>${images}`);
  return page.screenshot({ type: 'png' });
}
