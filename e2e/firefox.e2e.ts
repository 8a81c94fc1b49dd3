/** A Firefox in the room beside Chromium: it runs a PC of its own, which moves between the two. */
import { pollFor } from './harness/poll-for.ts';
import { firefoxObstacle, launchFirefox } from './harness/firefox.ts';
import type { ScriptedTab } from './harness/scripted-tab.ts';
import { expect, test } from './harness/test.ts';

/** Two browsers on a busy machine. */
const SLOW_MS = 60_000;

test('a PC that started in Firefox moves to Chromium and back, twice, over WebRTC; a ticker in it leaves out and repeats no number', async ({
  openHost,
  room,
  server,
}) => {
  const obstacle = firefoxObstacle();
  test.skip(obstacle !== null, obstacle ?? '');
  const browser = await launchFirefox();
  try {
    const firefox = await browser.openHost(room.address(server.origin, { name: 'Firefox' }), 'Firefox');
    const { id: vmId, mac } = await firefox.runningVm();
    const chromium = await openHost({ label: 'Chromium' });
    await chromium.waitForGuest();
    await firefox.waitForWebRtc(await chromium.id());
    await chromium.waitForWebRtc(await firefox.id());
    await firefox.waitForPrompt(vmId);
    await firefox.type(vmId, 'ticker 100\n');
    await firefox.waitForText(vmId, /ticker 5 /);

    const back: readonly (readonly [ScriptedTab, ScriptedTab])[] = [
      [firefox, chromium],
      [chromium, firefox],
    ];
    for (const [from, to] of [...back, ...back]) {
      const report = await from.migrate(vmId, await to.id(), { verify: true, maxPauseMs: 5000 });
      expect(report, `from ${from.label} to ${to.label}`).toMatchObject({ outcome: 'completed', verified: true, link: 'webrtc' });
      const seen = lastNumber(await to.consoleText(vmId));
      await pollFor(`the ticker to go on in ${to.label}`, async () => lastNumber(await to.consoleText(vmId)) >= seen + 5, SLOW_MS);
    }
    const numbers = numbersOf(await firefox.consoleText(vmId));
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(await firefox.vm(vmId)).toMatchObject({ mac, epoch: 5, hostId: await firefox.id() });
  } finally {
    await browser.close();
  }
});

test('a Firefox tab that is reloaded says that its PC ended and runs a new one (NR26, NR42)', async ({ room, server }) => {
  const obstacle = firefoxObstacle();
  test.skip(obstacle !== null, obstacle ?? '');
  const browser = await launchFirefox();
  try {
    const tab = await browser.openHost(room.address(server.origin, { name: 'Firefox' }), 'Firefox');
    const first = await tab.runningVm();
    await tab.reload();
    expect((await tab.runningVm()).id).not.toBe(first.id);
    expect((await room.describe(server.origin)).ended).toMatchObject([{ id: first.id, hostName: 'Firefox', how: 'tab-closed' }]);
    expect(await tab.script.evaluate(() => document.querySelector('[data-testid="ended"]')?.textContent)).toContain(
      `${first.name} ended when this tab was reloaded or left.`,
    );
  } finally {
    await browser.close();
  }
});

function numbersOf(printed: string): number[] {
  return [...printed.matchAll(/ticker (\d+) gap=/g)].map((match) => Number(match[1]));
}

function lastNumber(printed: string): number {
  return numbersOf(printed).at(-1) ?? 0;
}
