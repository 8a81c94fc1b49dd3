/** C5: many migrations, back and forth, under load. Nothing is lost, and nothing is left behind. */
import { FULL } from '../src/shared/testing/full.ts';
import { census, countConnections } from './harness/census.ts';
import { growth, TabMemory, type HeapBytes } from './harness/memory.ts';
import { pollFor } from './harness/poll-for.ts';
import { relaySockets } from './harness/relay-figures.ts';
import { expect, test } from './harness/test.ts';

const MIGRATIONS = FULL ? 100 : 12;
/** The first ones fill caches, the log and the console's scroll-back. */
const SETTLING_HOPS = 6;
/**
 * The console's text, the page's log and its list of reports grow by up to this much per move, until they reach bounds
 * that a dozen moves do not reach (3 KiB were measured). A machine, a channel or a buffer of pages that is not released
 * would be many times this.
 */
const HEAP_GROWTH_PER_HOP = 16 * 1024;
/** The number of listeners varies by this much with the buttons that the page shows at the time. */
const LISTENERS_OF_THE_PAGE = 4;

test(`C5: ${MIGRATIONS} migrations back and forth under load, each verified, leave nothing behind`, async ({ server, openHost }) => {
  test.setTimeout(MIGRATIONS * 60_000);
  const before = countConnections;
  const a = await openHost({ label: 'a', before });
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  const b = await openHost({ label: 'b', before });
  await b.waitForGuest();
  await a.waitForWebRtc(await b.id());
  await b.waitForWebRtc(await a.id());
  // Both consoles are full from the start, so that they hold as much at the end.
  await a.run(vmId, 'seq 1 20000 | tail -n 12000');
  await a.run(vmId, '(while :; do dd if=/dev/urandom of=/root/noise bs=16k count=8 conv=fsync 2>/dev/null; done) & true');
  await a.type(vmId, 'ticker 100 & pagecheck 8 500\n');
  await a.waitForText(vmId, /pagecheck gen=\d+ bad=0/);

  const tabs = [
    { host: a, memory: await TabMemory.of(a), idle: (await census(a)).dataChannels, listeners: [] as number[] },
    { host: b, memory: await TabMemory.of(b), idle: (await census(b)).dataChannels, listeners: [] as number[] },
  ] as const;
  const sockets = await relaySockets(server);
  const settled: HeapBytes[] = [];

  for (let hop = 0; hop < MIGRATIONS; hop++) {
    const [from, to] = hop % 2 === 0 ? tabs : [tabs[1], tabs[0]];
    const report = await from.host.migrate(vmId, await to.host.id(), { verify: true, maxPauseMs: 5000 });
    expect(report, `migration ${hop + 1}: ${report.reason ?? report.outcome}`).toMatchObject({ outcome: 'completed', verified: true, link: 'webrtc' });
    await pollFor(`what migration ${hop + 1} used to be closed`, async () => {
      const [source, target] = [await census(from.host), await census(to.host)];
      return (
        source.workers === 0 &&
        target.workers === 1 &&
        source.dataChannels === from.idle &&
        target.dataChannels === to.idle &&
        (await relaySockets(server)) === sockets
      );
    });
    const seen = (await to.host.consoleText(vmId)).match(/pagecheck gen=/g)?.length ?? 0;
    await pollFor('pagecheck to report in the target', async () => ((await to.host.consoleText(vmId)).match(/pagecheck gen=/g)?.length ?? 0) > seen);
    expect(await to.host.consoleText(vmId)).not.toMatch(/bad=[1-9]/);
    // Each tab is measured in the same role every time.
    if (hop % 2 === 0) continue;
    await pollFor('the next machine to stand ready', () => from.host.hasStandby());
    for (const { memory, listeners } of tabs) listeners.push(await memory.eventListeners());
    if (hop + 1 !== SETTLING_HOPS) continue;
    for (const { memory } of tabs) settled.push(await memory.heapBytes());
    // On a busy machine the heap snapshots take longer than the server waits for a tab.
    await pollFor('the server to have both tabs again', async () => (await relaySockets(server)) === sockets);
    for (const { host } of tabs) await host.waitForHosts(2);
  }

  const [last] = [...(await a.consoleText(vmId)).matchAll(/ticker (\d+) gap/g)].slice(-1);
  expect(Number(last?.[1])).toBeGreaterThan(MIGRATIONS);
  expect((await a.vm(vmId))?.epoch).toBe(1 + MIGRATIONS);
  for (const [index, { host, memory, listeners: counted }] of tabs.entries()) {
    const grown = growth(settled[index] as HeapBytes, await memory.heapBytes());
    expect(grown.bytes / (MIGRATIONS - SETTLING_HOPS), `growth of ${host.label} per migration, in bytes; of the whole: ${grown.text}`).toBeLessThan(
      HEAP_GROWTH_PER_HOP,
    );
    const listeners = counted.slice(SETTLING_HOPS / 2);
    expect(Math.max(...listeners) - Math.min(...listeners), `listeners of ${host.label}: ${listeners.join(' ')}`).toBeLessThanOrEqual(LISTENERS_OF_THE_PAGE);
  }
});
