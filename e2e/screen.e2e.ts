/** The PC's own screen and keyboard: what is typed on the screen view reaches the guest. */
import { pollFor } from './harness/poll-for.ts';
import type { HostPage } from './harness/host-page.ts';
import { expect, test } from './harness/test.ts';

/** What the guest's first virtual terminal shows, as the guest says on its serial console. */
async function screenText(host: HostPage, vmId: string): Promise<string> {
  return (await host.run(vmId, 'tr -c "\\040-\\176" "?" < /dev/vcs1 | fold -w 80')).output;
}

async function waitForScreen(host: HostPage, vmId: string, pattern: RegExp): Promise<void> {
  await pollFor(`${pattern.source} on the screen of ${vmId}`, async () => pattern.test(await screenText(host, vmId)), 40_000);
}

/** Shows the VM's screen, so that the keyboard is the guest's. */
async function openScreen(host: HostPage): Promise<void> {
  await host.page.bringToFront();
  await host.page.getByTestId('screen-tab').click();
}

test('Ctrl, Shift and Alt held while the PC moves are not pressed at the target', async ({ openHost }) => {
  const a = await openHost();
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  const b = await openHost();
  await b.waitForGuest();
  for (const key of ['Control', 'Shift', 'Alt']) {
    const [from, to] = (await a.vm(vmId))?.hostId === (await a.id()) ? [a, b] : [b, a];
    await openScreen(from);
    await from.page.keyboard.down(key);
    expect((await from.migrate(vmId, await to.id())).outcome).toBe('completed');
    await openScreen(to);
    await to.page.keyboard.type(`echo ${key.toLowerCase()}-is-free\n`);
    await waitForScreen(to, vmId, new RegExp(`^${key.toLowerCase()}-is-free`, 'm'));
    // The key is released at last, in the tab that no longer listens.
    await from.page.keyboard.up(key);
  }
});

test('the screen takes what is typed on other keyboards than the American, on a phone, composed or pasted', async ({ openHost }) => {
  const tab = await openHost();
  const { id: vmId } = await tab.runningVm();
  await tab.waitForPrompt(vmId);
  await openScreen(tab);
  const { page } = tab;
  await page.keyboard.type('cat > /tmp/typed\n');
  await waitForScreen(tab, vmId, /cat > \/tmp\/typed/);

  // Real key events with the keys of other keyboards; modifiers as the protocol counts them.
  const devtools = await page.context().newCDPSession(page);
  const press = async (code: string, key: string, modifiers = 0): Promise<void> => {
    await devtools.send('Input.dispatchKeyEvent', { type: 'keyDown', code, key, modifiers, ...(key.length === 1 && { text: key }) });
    await devtools.send('Input.dispatchKeyEvent', { type: 'keyUp', code, key, modifiers });
  };
  const [altAndCtrl, shift] = [1 | 2, 8];
  const expected: string[] = [];
  const line = async (text: string): Promise<void> => {
    expected.push(text);
    await press('Enter', 'Enter');
  };

  for (const [code, key] of [
    ['KeyY', 'z'],
    ['KeyZ', 'y'],
    ['Minus', 'ß'],
    ['Semicolon', 'ö'],
  ] as const)
    await press(code, key);
  await press('ShiftLeft', 'Shift', shift);
  await press('Digit7', '/', shift);
  await press('ControlLeft', 'Control', 2);
  await press('AltRight', 'AltGraph', altAndCtrl);
  await press('KeyQ', '@', altAndCtrl);
  await line('zyßö/@');

  for (const [code, key] of [
    ['KeyQ', 'a'],
    ['KeyW', 'z'],
    ['Semicolon', 'm'],
    ['Digit1', '&'],
    ['Digit2', 'é'],
  ] as const)
    await press(code, key);
  await line('azm&é');

  // A dead key: the browser makes the character of the next one.
  await press('Equal', 'Dead');
  await devtools.send('Input.dispatchKeyEvent', { type: 'keyDown', code: 'KeyE', key: 'e', text: 'é' });
  await line('é');

  // A phone: no code, no key; text by text, and a word that is composed, put right and erased in part.
  await page.keyboard.insertText('Tel ');
  await devtools.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Unidentified', code: '', windowsVirtualKeyCode: 229 });
  for (const text of ['t', 'te', 'teh', 'the', 'th']) {
    await devtools.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
  }
  // At once, so that one letter is a command where it is one.
  await waitForScreen(tab, vmId, /^Tel th *$/m);
  await page.keyboard.insertText('this');
  await line('Tel this');

  // An input method on a keyboard with keys: only its final text is typed.
  await devtools.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Process', code: 'KeyK', windowsVirtualKeyCode: 229 });
  for (const text of ['k', 'ka', 'か']) await devtools.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
  await page.keyboard.insertText('漢');
  await line('漢');

  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData('text/plain', 'Paste: ~€😀\r\n\tsecond line');
    document.activeElement?.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await line('Paste: ~€😀\n\tsecond line');

  await page.keyboard.press('Control+d');
  await page.keyboard.type('echo typed-all\n');
  await waitForScreen(tab, vmId, /^typed-all/m);
  expect((await tab.run(vmId, 'cat /tmp/typed')).output).toBe(expected.join('\n'));
  expect(tab.errors).toEqual([]);

  // The page says what it cannot type, and Ctrl+Alt gives the keyboard back.
  const keyboard = page.getByTestId('screen-keyboard');
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData('text/plain', '\u001b[31m');
    document.activeElement?.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await expect(page.getByText('Not typed, because no keyboard has it: U+001B.')).toBeVisible();
  await expect(keyboard).toBeFocused();
  await page.keyboard.press('Control+Alt');
  await expect(keyboard).not.toBeFocused();
});
