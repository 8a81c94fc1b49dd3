/** The serial console: what the guest prints and what a terminal shows of it, in the tab that runs the PC and in others. */
import { FULL } from '../src/shared/testing/full.ts';
import type { HostPage } from './harness/host-page.ts';
import { pollFor } from './harness/poll-for.ts';
import { expect, test } from './harness/test.ts';

/** The lines that the terminal of the VM shown has on its screen, without blanks at their ends. */
async function screenOf(host: HostPage): Promise<string[]> {
  const lines = await host.page.locator('[data-testid=console]:not([hidden])').evaluate((shown) => {
    // A terminal out of sight is not drawn.
    shown.scrollIntoView();
    return [...shown.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent);
  });
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

const PHONE = { width: 390, height: 844 };

interface Size {
  readonly cols: number;
  readonly rows: number;
}

async function sizeOf(host: HostPage): Promise<Size> {
  const shown = host.page.locator('[data-testid=console]:not([hidden])');
  return { cols: Number(await shown.getAttribute('data-cols')), rows: Number(await shown.getAttribute('data-rows')) };
}

test('the console has the size of the tab that used it last', async ({ openHost }) => {
  const [a, b] = [await openHost(), await openHost()];
  await b.page.setViewportSize(PHONE);
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  const guestSize = async (): Promise<string> => (await a.run(vmId, 'stty size')).output;
  const large = await sizeOf(a);
  await pollFor('the size at the watching tab', async () => (await sizeOf(b)).cols === large.cols);
  expect(await guestSize()).toBe(`${large.rows} ${large.cols}`);
  await b.page.locator('[data-testid=console] textarea').focus();
  await pollFor('the size of the tab that watches', async () => (await sizeOf(a)).cols < large.cols);
  const small = await sizeOf(b);
  await pollFor('the guest to know', async () => (await guestSize()) === `${small.rows} ${small.cols}`);
  await a.page.locator('[data-testid=console] textarea').focus();
  await pollFor('the size of the tab that is used again', async () => (await guestSize()) === `${large.rows} ${large.cols}`);
  expect(await sizeOf(a)).toEqual(large);
});
