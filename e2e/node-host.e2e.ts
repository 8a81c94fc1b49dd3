/** A host without a page, in Node, in one room with a tab of Chromium: each is a host like any other to the other (H4). */
import { readFile } from 'node:fs/promises';
import type { Diagnostics } from '../src/host/scripting-interface.ts';
import { totalOf } from '../src/migration/downtime.ts';
import { openNodeHost } from '../src/node-host/node-host.ts';
import { expect, test } from './harness/test.ts';

/** For what a loaded guest does on a loaded machine. */
const SLOW_MS = 90_000;

test('A PC moves between a host in Node and a tab, and back, with every page compared; its ticker leaves out and repeats no number', async ({
  server,
  room,
  openHost,
}, testInfo) => {
  const host = openNodeHost(new URL(room.address(server.origin)), 'node');
  try {
    await host.ready;
    const { id } = await host.start();
    const page = await openHost();
    await page.waitForHosts(2);
    await expect.poll(() => host.hosts().every(({ ready }) => ready), { timeout: SLOW_MS }).toBe(true);
    const text = (): string => host.console(id).text();
    const numbers = (): number[] => [...text().matchAll(/ticker (\d+) gap=/g)].map((match) => Number(match[1]));

    host.console(id).write('ticker 50\n');
    await expect.poll(text, { timeout: SLOW_MS }).toMatch(/ticker 20 gap=/);
    const there = await host.migrate(id, await page.id(), { verify: true });
    expect(there).toMatchObject({ outcome: 'completed', verified: true, link: 'relay' });
    await page.waitForText(id, new RegExp(`ticker ${numbers().at(-1)! + 20} gap=`), SLOW_MS);

    // The tab's page asks for the move, as somebody there would.
    const back = await page.migrate(id, host.host.id, { verify: true });
    expect(back).toMatchObject({ outcome: 'completed', verified: true, link: 'relay' });
    await expect.poll(text, { timeout: SLOW_MS }).toMatch(new RegExp(`ticker ${numbers().at(-1)! + 20} gap=`));
    expect(numbers()).toEqual(numbers().map((_, index) => index + 1));
    for (const { downtime, pauseMs } of [there, back]) {
      expect(totalOf(downtime!)).toBeCloseTo(pauseMs, 3);
    }

    // One file holds what both hosts saw of the moves, and nobody can join the room with that file.
    const [download] = await Promise.all([page.page.waitForEvent('download'), page.page.getByTestId('save-diagnostics').click()]);
    expect(download.suggestedFilename()).toMatch(new RegExp(`^tabmotion-${room.name}-[\\dTZ-]+\\.json$`));
    await download.saveAs(testInfo.outputPath('diagnostics.json'));
    const file = await readFile(testInfo.outputPath('diagnostics.json'), 'utf8');
    const { trace, server: atServer, reports } = JSON.parse(file) as Diagnostics;
    expect(trace.entries.map(({ step }) => step)).toEqual(expect.arrayContaining(['target: committing -> starting', 'source: copying -> holding']));
    expect('entries' in atServer && atServer.entries.filter(({ step }) => step.includes('drained -> committed-unconfirmed'))).toHaveLength(2);
    expect(reports).toHaveLength(2);
    expect(file).not.toContain(room.key);
  } finally {
    host.dispose();
  }
});
