/**
 * `npm run bench`: time to the first shell answer; live migration against stop-and-copy with v86's own means and against
 * QEMU's published figures for the same guest; the network against the emulated card's limit and QEMU's user network.
 * `-- --only start|migration|network` runs one part; `--quick` runs the network part at a size that only shows that it
 * works. Prints tables; asserts nothing.
 */
import { parseArgs } from 'node:util';
import { chromium, type Browser } from '@playwright/test';
import { CHROMIUM_FLAGS } from '../e2e/harness/chromium-flags.ts';
import { startServer, type ServerProcess } from '../e2e/harness/server-process.ts';
import { findChromium } from '../e2e/harness/find-chromium.ts';
import { firstAnswer, LOADS, migrations } from './migration.ts';
import { networkTables } from './network/network.ts';
import { QEMU_REFERENCE } from './qemu-reference.ts';
import { spread, table } from './statistics.ts';
import { stopAndCopy } from './stop-and-copy.ts';

const STARTS = 3;
const MOVES = 6;
const COPIES = 2;
const MEGA = 1_000_000;

type Part = (browser: Browser, server: ServerProcess) => Promise<void>;

const { values: options } = parseArgs({ options: { only: { type: 'string' }, quick: { type: 'boolean', default: false } } });
const PARTS: Readonly<Record<string, Part>> = {
  start: startTable,
  migration: migrationTable,
  network: (browser, server) => networkTables(browser, server, options.quick),
};
if (options.only !== undefined && !(options.only in PARTS)) {
  console.error(`There is no part "${options.only}"; there are ${Object.keys(PARTS).join(', ')}.`);
  process.exit(2);
}

// Exits by itself, so that the processes that were started end, too.
process.once('SIGTERM', () => process.exit(143));
const server = await startServer();
try {
  const browser = await chromium.launch({ executablePath: findChromium(), args: [...CHROMIUM_FLAGS] });
  try {
    console.log(`Chromium ${browser.version()}, ${new Date().toISOString()}; median (smallest-largest)\n`);
    for (const [name, part] of Object.entries(PARTS)) {
      if (options.only === undefined || options.only === name) await part(browser, server);
    }
  } finally {
    await browser.close();
  }
} finally {
  await server.stop();
}
// An abandoned measurement may still hold resources.
process.exit();

async function startTable(browser: Browser, server: ServerProcess): Promise<void> {
  const starts = async (warm: boolean): Promise<string> => {
    const figures: number[] = [];
    for (let run = 0; run < STARTS; run++) figures.push(await firstAnswer(browser, server, warm));
    return spread(figures);
  };
  console.log(
    `${table(
      ['start', 'page load to first shell answer, ms'],
      [
        ['cold (empty cache)', await starts(false)],
        ['warm', await starts(true)],
      ],
    )}\n`,
  );
}

async function migrationTable(browser: Browser, server: ServerProcess): Promise<void> {
  const rows: string[][] = [];
  for (const load of LOADS) {
    const reports = await migrations(browser, server, load, MOVES);
    const moved = reports.filter((report) => report.outcome === 'completed');
    rows.push([
      load.name,
      'TabMotion',
      spread(moved.map((report) => report.pauseMs)),
      spread(moved.map((report) => report.totalMs)),
      spread(
        moved.map((report) => report.bytesOnWire / MEGA),
        2,
      ),
      spread(moved.map((report) => report.rounds.length)),
      `${moved.length} of ${reports.length}`,
    ]);
    const copies = [];
    for (let copy = 0; copy < COPIES; copy++) copies.push(await stopAndCopy(browser, server, load));
    const pauses = copies.map((copy) => copy.pauseMs);
    rows.push([
      load.name,
      'v86 save_state/restore_state',
      spread(pauses),
      spread(pauses),
      spread(
        copies.map((copy) => copy.bytes / MEGA),
        2,
      ),
      '1',
      `${copies.length} of ${copies.length}`,
    ]);
    const reference = QEMU_REFERENCE.find((entry) => entry.load === load.name);
    if (reference !== undefined)
      rows.push([load.name, 'QEMU 7.2 TCG (measured elsewhere)', reference.pauseMs, reference.totalMs, reference.megabytes, '', '3 runs']);
  }
  console.log(`${table(['guest', 'moved by', 'pause ms', 'total ms', 'MB sent', 'rounds', 'completed'], rows)}\n`);
}
