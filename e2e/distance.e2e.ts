/** F3: a PC moves between hosts that are far apart, with the default options. */
import { FULL } from '../src/shared/testing/full.ts';
import { ALONE } from './harness/alone.ts';
import { createDistantNetwork, distantNetworkObstacle, type Way } from './harness/distant-network.ts';
import { pollFor } from './harness/poll-for.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

interface Trial {
  readonly way: Way;
  /** What runs in the guest; null: nothing. */
  readonly program: string | null;
  /** Moves there and back. */
  readonly times: number;
}

/** A longer TABMOTION_FULL run may be cut into pieces, by the round trip (`20`) or with its loss (`50/1`). */
const ONLY = process.env['TABMOTION_WAY'];

function trials(): Trial[] {
  if (!FULL) {
    return [
      { way: { roundTripMs: 100, lossPercent: 0 }, program: 'ticker 100', times: 1 },
      { way: { roundTripMs: 50, lossPercent: 1 }, program: 'ticker 100', times: 1 },
    ];
  }
  const ways: Way[] = [...[0, 20, 50, 100, 150].map((roundTripMs) => ({ roundTripMs, lossPercent: 0 })), { roundTripMs: 50, lossPercent: 1 }];
  return ways
    .filter(({ roundTripMs, lossPercent }) => ONLY === undefined || ONLY === (lossPercent === 0 ? `${roundTripMs}` : `${roundTripMs}/${lossPercent}`))
    .flatMap((way) => [null, 'ticker 100', 'dirty 16 1000'].map((program) => ({ way, program, times: 5 })));
}

test(
  'F3: over a round trip of 100 ms, and over 50 ms with 1 % loss, a PC moves there and back with the default options',
  { tag: ALONE },
  async ({ room, openHost }) => {
    const obstacle = await distantNetworkObstacle();
    test.skip(obstacle !== null, `needs a network of its own: ${obstacle ?? ''}`);
    test.setTimeout(FULL ? 1_800_000 : 600_000);
    const network = await createDistantNetwork();
    try {
      const server = await startServer({ args: ['--host', network.serverAddress], within: network.onServer });
      const browsers = [await network.launchChromium(0), await network.launchChromium(1)] as const;
      try {
        const tab = async (index: 0 | 1) => openHost({ room, label: `tab ${index}`, server, context: await browsers[index].newContext() });
        const a = await tab(0);
        const { id: vmId } = await a.runningVm();
        await a.waitForPrompt(vmId);
        const b = await tab(1);
        await b.waitForGuest();
        const ids = [await a.id(), await b.id()] as const;
        await a.waitForWebRtc(ids[1]);
        await b.page.evaluate(() => {
          const store = window as unknown as { lostPings: number; pings: number };
          store.lostPings = store.pings = 0;
          window.tabmotion.on('ping', ({ rttMs }) => {
            store.pings++;
            if (rttMs === null) store.lostPings++;
          });
        });
        const pings = () =>
          b.page.evaluate(() => {
            const { pings: all, lostPings: lost } = window as unknown as { lostPings: number; pings: number };
            return { all, lost };
          });
        for (const { way, program, times } of trials()) {
          network.setWay(way);
          const before = await pings();
          const label = `${way.roundTripMs} ms${way.lossPercent === 0 ? '' : ` and ${way.lossPercent} % loss`}, ${program ?? 'idle'}`;
          if (program !== null) {
            await a.type(vmId, `${program}\n`);
            await a.waitForText(vmId, new RegExp(`${program.split(' ')[0] ?? ''} \\S*[3-9]`), 60_000);
          }
          const told: string[] = [];
          for (let move = 0; move < times * 2; move++) {
            const [from, to] = move % 2 === 0 ? [a, b] : [b, a];
            const report = await from.migrate(vmId, ids[move % 2 === 0 ? 1 : 0], { verify: true });
            told.push(`${report.outcome} ${Math.round(report.pauseMs)}/${Math.round(report.totalMs)} ms, ${report.rounds.length} rounds, ${report.link}`);
            expect(report, `${label}: ${told.join('; ')}`).toMatchObject({ outcome: 'completed', verified: true });
            await to.runningVm(vmId);
          }
          if (program !== null) {
            await a.type(vmId, '\u0003');
            expect((await a.run(vmId, 'echo still here')).output).toBe('still here');
          }
          // A ping counts as lost after 5 s: wait for six more.
          const settled = await pings();
          await pollFor('pings to go on', async () => (await pings()).all >= settled.all + 6, 60_000);
          const after = await pings();
          console.log(`${label}: ${told.join('; ')}; ${after.lost - before.lost} of ${after.all - before.all} pings lost`);
          if (way.lossPercent === 0) expect(after.lost - before.lost, label).toBe(0);
        }
      } finally {
        for (const browser of browsers) await browser.close();
        await server.stop();
      }
    } finally {
      await network.dispose();
    }
  },
);
