/** The serial console: what the guest prints and what a terminal shows of it, in the tab that runs the PC and in others. */
import { FULL } from '../src/shared/testing/full.ts';
import type { HostPage } from './harness/host-page.ts';
import { pollFor } from './harness/poll-for.ts';
import { expect, test } from './harness/test.ts';

/** The lines that the terminal of the VM shown has on its screen, without blanks at their ends. */
async function screenOf(host: HostPage): Promise<string[]> {
  const lines = await host.page.locator('[data-testid=console]:not([hidden]) .xterm-rows > div').evaluateAll((rows) => rows.map((row) => row.textContent));
  return lines.map((line) => line.replaceAll('\u00a0', ' ').trimEnd());
}

/** Moves the VM; a machine that is too busy for one move makes another. */
async function moved(from: HostPage, to: HostPage, vmId: string): Promise<void> {
  await pollFor(`the VM to move to ${to.label}`, async () => (await from.migrate(vmId, await to.id(), { maxPauseMs: 2000 })).outcome === 'completed', 90_000);
}

test('moves and a tab that begins to watch late cut no character in two', async ({ openHost }) => {
  const [a, b] = [await openHost(), await openHost()];
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  await a.type(vmId, "while :; do printf 'ż漢€✓😀ñ\\n'; done\n");
  await a.waitForText(vmId, /(ż漢€✓😀ñ\r\n){20}/u);

  for (const host of [a, b]) await host.page.evaluate((vm) => {
    const store = window as unknown as { heard: string };
    store.heard = '';
    window.tabmotion.console(vm).onData((text) => (store.heard += text));
  }, vmId);
  for (let move = 0; move < (FULL ? 10 : 3); move++) {
    const [from, to] = move % 2 === 0 ? [a, b] : [b, a];
    await moved(from, to, vmId);
  }
  const late = await openHost();
  await late.waitForText(vmId, /(ż漢€✓😀ñ\r\n){100}/u);
  await a.type(vmId, '\x03');
  for (const host of [a, b, late]) await host.waitForText(vmId, /\^C/);

  for (const host of [a, b, late]) {
    const heard = await host.page.evaluate(() => (window as unknown as { heard?: string }).heard ?? '');
    for (const all of [await host.consoleText(vmId), heard]) {
      // Control C ends the program where it is, in the middle of a character perhaps.
      const [text] = all.split('^C');
      expect(text).not.toContain('\ufffd');
      const lines = text!.slice(text!.lastIndexOf('done') + 1).split('\r\n').slice(1, -1);
      expect(lines.filter((line) => line !== 'ż漢€✓😀ñ')).toEqual([]);
    }
    expect((await host.consoleText(vmId)).length).toBeGreaterThan(1000);
  }
});

test('a line feed goes straight down when the guest says so', async ({ openHost }) => {
  const a = await openHost();
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  await a.type(vmId, "clear; stty -onlcr; printf 'abc\\ndef\\n'; stty onlcr; echo\n");
  const screen = await pollFor('the two lines', async () => {
    const lines = await screenOf(a);
    return lines.some((line) => line.startsWith('abc')) && lines.some((line) => line.includes('def')) ? lines : null;
  });
  const at = screen.findIndex((line) => line === 'abc');
  expect(screen.slice(at, at + 2)).toEqual(['abc', '   def']);
});
