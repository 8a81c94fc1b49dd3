/** The serial console: what the guest prints and what a terminal shows of it, in the tab that runs the PC and in others. */
import { FULL } from '../src/shared/testing/full.ts';
import type { HostPage } from './harness/host-page.ts';
import { pollFor } from './harness/poll-for.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

/** The lines that the terminal of the VM shown has on its screen, without blanks at their ends. */
async function screenOf(host: HostPage): Promise<string[]> {
  const lines = await host.page.locator('[data-testid=console]:not([hidden])').evaluate((shown) => {
    // A terminal out of sight is not drawn.
    shown.scrollIntoView();
    // What is behind the last column is kept, and cut off by the row's edge.
    const columns = Number(shown.getAttribute('data-cols'));
    return [...shown.querySelectorAll('.xterm-rows > div')].map((row) => Array.from(row.textContent).slice(0, columns).join(''));
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

test('of what is typed in a watching tab while the server restarts, nothing is lost', async ({ openHost }) => {
  const first = await startServer();
  let server = first;
  try {
    const a = await openHost({ server });
    const b = await openHost({ server });
    const { id: vmId } = await a.runningVm();
    await a.waitForPrompt(vmId);
    await a.type(vmId, 'cat > /tmp/typed\n');
    await b.waitForText(vmId, /cat > \/tmp\/typed/);
    const typed = Array.from({ length: 200 }, (_, at) => String.fromCharCode(97 + (at * 7) % 26)).join('');
    await b.type(vmId, typed.slice(0, 60));
    await first.kill();
    await b.type(vmId, typed.slice(60, 140));
    await expect(b.page.locator('[data-testid=typed-waiting]')).toContainText('typed characters are on their way');
    server = await startServer({ port: first.port, dataDir: first.dataDir });
    await b.type(vmId, `${typed.slice(140)}\n\x04`);
    await expect(b.page.locator('[data-testid=typed-waiting]')).toBeHidden();
    await pollFor('the shell', async () => (await b.consoleText(vmId)).trimEnd().endsWith('guest#'));
    expect((await a.run(vmId, 'cat /tmp/typed')).output).toBe(typed);
  } finally {
    await server.stop();
    if (server !== first) await first.stop();
  }
});

test('the console has the focus once its PC is ready, takes AltGr, dead keys and input methods, and can be left', async ({ openHost }) => {
  const a = await openHost();
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  const { keyboard } = a.page;
  await expect(a.page.locator('[data-testid=console] textarea')).toBeFocused();
  await expect(a.page.locator('[data-testid=console] .xterm-cursor')).toBeVisible();
  await keyboard.type('cat\n');
  // As Windows sends AltGr, and as Linux does.
  const session = await a.page.context().newCDPSession(a.page);
  const press = async (key: string, code: string, modifiers: number): Promise<void> => {
    await session.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key, code, modifiers, windowsVirtualKeyCode: code.charCodeAt(3) });
    // Windows' browser sends the character as well, unless the page has taken the key.
    await session.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code, modifiers, windowsVirtualKeyCode: code.charCodeAt(3) });
  };
  const ALT_AND_CTRL = 3;
  await press('@', 'KeyQ', ALT_AND_CTRL);
  await press('€', 'KeyE', ALT_AND_CTRL);
  await session.send('Input.dispatchKeyEvent', { type: 'keyDown', key: 'ą', code: 'KeyA', text: 'ą', windowsVirtualKeyCode: 65 });
  await session.send('Input.dispatchKeyEvent', { type: 'keyUp', key: 'ą', code: 'KeyA', windowsVirtualKeyCode: 65 });
  // A dead key, and an input method: a text that changes until it is committed.
  for (const [draft, done] of [['´', 'é'], ['かん', '漢']] as const) {
    await session.send('Input.imeSetComposition', { text: draft, selectionStart: draft.length, selectionEnd: draft.length });
    await session.send('Input.insertText', { text: done });
    await pollFor(`${done} to arrive`, async () => (await a.consoleText(vmId)).includes(done));
  }
  await keyboard.press('Enter');
  await a.waitForText(vmId, /@€ąé漢\r\n@€ąé漢\r\n/u);
  await keyboard.press('Control+d');
  await keyboard.type('echo said-by-the-gu""est\n');
  await expect(a.page.locator('[data-testid=console-voice]')).toContainText('said-by-the-guest');

  await keyboard.press('Shift+Tab');
  await expect(a.page.locator('[data-testid=skip-console]')).toBeFocused();
  await keyboard.press('Enter');
  await keyboard.press('Tab');
  const [outside, behind] = await a.page.evaluate(() => {
    const shown = document.querySelector('[data-testid=console]')!;
    const now = document.activeElement!;
    return [!shown.contains(now), (shown.compareDocumentPosition(now) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0];
  });
  expect([outside, behind]).toEqual([true, true]);
});
