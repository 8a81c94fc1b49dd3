/** The serial console: what the guest prints and what a terminal shows of it, in the tab that runs the PC and in others. */
import { FULL } from '../src/shared/testing/full.ts';
import type { HostPage } from './harness/host-page.ts';
import { createNamespace, namespaceObstacle } from './harness/network-namespace.ts';
import { pollFor } from './harness/poll-for.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

/** The lines that the terminal of the VM shown has on its screen, without blanks at their ends. */
async function screenOf(host: HostPage): Promise<string[]> {
  const lines = await host.page.locator('[data-testid=console]:not([hidden])').evaluate((shown) => {
    // A terminal out of sight is not drawn.
    shown.scrollIntoView();
    // The row keeps text behind the last column, and its edge cuts that off.
    const columns = Number(shown.getAttribute('data-cols'));
    return [...shown.querySelectorAll('.xterm-rows > div')].map((row) => Array.from(row.textContent).slice(0, columns).join(''));
  });
  return lines.map((line) => line.replaceAll('\u00a0', ' ').trimEnd());
}

/** Moves the VM; tries again if the machine was too busy for one move. */
async function moved(from: HostPage, to: HostPage, vmId: string): Promise<void> {
  await pollFor(`the VM to move to ${to.label}`, async () => (await from.migrate(vmId, await to.id(), { maxPauseMs: 5000 })).outcome === 'completed', 90_000);
}

test('moves and a tab that begins to watch late cut no character in two', async ({ openHost }) => {
  const [a, b] = [await openHost(), await openHost()];
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  await a.type(vmId, "while :; do printf 'ż漢€✓😀ñ\\n'; done\n");
  await a.waitForText(vmId, /(ż漢€✓😀ñ\r\n){20}/u);

  for (const host of [a, b])
    await host.page.evaluate((vm) => {
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
      const lines = text!
        .slice(text!.lastIndexOf('done') + 1)
        .split('\r\n')
        .slice(1, -1);
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

const WINDOWS = [
  [1920, 1080],
  [1280, 800],
  [1024, 768],
  [800, 600],
  [390, 844],
] as const;
const PHONE = { width: 390, height: 844 };
const FILE_LINES = 120;
/** A file of long lines, each of which begins with its number. */
const MAKE_FILE = `awk 'BEGIN{for(i=1;i<=${FILE_LINES};i++){s=sprintf("%03d ",i);while(length(s)<244)s=s "0123456789";print s}}' > /tmp/lines`;
const fileLine = (index: number): string => `${String(index + 1).padStart(3, '0')} ${'0123456789'.repeat(24)}`;

interface Size {
  readonly cols: number;
  readonly rows: number;
}

/** Gives the tab's window another size, and waits until the terminal has adapted to the space that is left for it. */
async function resize(host: HostPage, [width, height]: readonly [number, number]): Promise<void> {
  const before = await sizeOf(host);
  await host.page.setViewportSize({ width, height });
  await pollFor(`a terminal of another size in a window of ${width}×${height}`, async () => {
    const { cols, rows } = await sizeOf(host);
    return cols !== before.cols || rows !== before.rows;
  });
}

async function sizeOf(host: HostPage): Promise<Size> {
  const shown = host.page.locator('[data-testid=console]:not([hidden])');
  return { cols: Number(await shown.getAttribute('data-cols')), rows: Number(await shown.getAttribute('data-rows')) };
}

/** Whether a screen is what the program shows at that size; its last line says where one is. */
const PROGRAMS: Readonly<Record<string, (size: Size, screen: readonly string[]) => boolean>> = {
  // Cuts lines at the window's edge.
  'vi /tmp/lines': ({ cols, rows }, screen) =>
    sameLines(
      screen.slice(0, -1),
      Array.from({ length: rows - 1 }, (_, row) => fileLine(row).slice(0, cols)),
    ),
  // Wraps them.
  'less /tmp/lines': ({ cols, rows }, screen) => {
    const wrapped = Array.from({ length: FILE_LINES }, (_, row) => fileLine(row)).flatMap((line) => line.match(new RegExp(`.{1,${cols}}`, 'g')) ?? []);
    return sameLines(screen.slice(0, -1), wrapped.slice(0, rows - 1));
  },
  // Fills the screen with a header and processes, and does not scroll.
  'top -d 1': ({ rows }, screen) =>
    screen[0]!.startsWith('Mem:') &&
    screen[1]!.startsWith('CPU:') &&
    screen.some((line) => /^ *PID +PPID/.test(line)) &&
    screen.filter((line) => /^ +\d+ +\d+ /.test(line)).length >= Math.min(rows - 6, 20),
};

function sameLines(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, row) => line === b[row]);
}

/** Waits until the terminal shows the program as it should be at the terminal's size. */
async function fills(host: HostPage, program: string, limitMs?: number): Promise<void> {
  let seen = '';
  await pollFor(
    `${program} to fill the terminal of ${host.label}`,
    async () => {
      const [size, screen] = [await sizeOf(host), await screenOf(host)];
      seen = `${size.cols} by ${size.rows}, drawn ${screen.length} rows:\n${screen.join('\n')}`;
      return screen.length === size.rows && PROGRAMS[program]!(size, screen);
    },
    limitMs,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; it shows, at ${seen}`);
  });
}

/** Waits, at the shell's prompt, until the guest's terminal has the size that the tab shows. */
async function guestKnowsSize(host: HostPage, vmId: string): Promise<void> {
  await pollFor('the guest to know the size', async () => {
    const { output } = await host.run(vmId, 'stty size');
    const { cols, rows } = await sizeOf(host);
    return output === `${rows} ${cols}`;
  });
}

test('full-screen programs and the shell fill the terminal, whatever the window', async ({ openHost }) => {
  test.skip(!FULL, 'fifteen windows: with TABMOTION_FULL=1');
  const a = await openHost();
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  await a.run(vmId, MAKE_FILE);
  const quit = async (program: string): Promise<void> => {
    await a.type(vmId, program.startsWith('vi') ? ':q\n' : 'q');
    await pollFor('the shell', async () => (await screenOf(a)).some((line) => line.startsWith('guest#')));
  };
  for (const program of Object.keys(PROGRAMS)) {
    // When the size changes, busybox's less keeps rows that it has split for the old size: we restart it for each size.
    const beginsAnew = program.startsWith('less');
    if (!beginsAnew) await a.type(vmId, `clear; ${program}\n`);
    for (const window of WINDOWS) {
      await resize(a, window);
      if (!beginsAnew) await fills(a, program);
      // The page may still be adapting to its new size, and less with it: then we try once more.
      else
        await pollFor(`${program} in a window of ${window.join('×')}`, async () => {
          await guestKnowsSize(a, vmId);
          // Typed by the keyboard, because that brings the newest lines into view.
          await a.page.locator('[data-testid=console]:not([hidden]) textarea').focus();
          await a.page.keyboard.type(`clear; ${program}\n`);
          const filled = await fills(a, program, 5000).then(
            () => true,
            () => false,
          );
          await quit(program);
          return filled;
        });
    }
    if (!beginsAnew) await quit(program);
  }
  // Now as narrow as a phone.
  const { cols, rows } = await sizeOf(a);
  expect(cols).toBeLessThan(60);
  await a.type(vmId, 'clear; stty size\n');
  await pollFor('the size', async () => (await screenOf(a)).includes(`${rows} ${cols}`));
  await a.type(vmId, `clear\n`);
  const line = `echo ${'0123456789'.repeat(12)}`;
  await a.type(vmId, line);
  const wanted = `guest# ${line}`.match(new RegExp(`.{1,${cols}}`, 'g')) ?? [];
  await pollFor('the long command line', async () => sameLines((await screenOf(a)).slice(0, wanted.length), wanted));
});

test('full-screen programs look the same before and after a move, in a wide window and on a phone', async ({ openHost }) => {
  const [a, b] = [await openHost(), await openHost()];
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  await a.run(vmId, MAKE_FILE);
  let [here, there] = [a, b];
  for (const [width, height] of FULL
    ? WINDOWS
    : ([
        [1280, 800],
        [PHONE.width, PHONE.height],
      ] as const)) {
    for (const tab of [a, b]) await tab.page.setViewportSize({ width, height });
    for (const program of Object.keys(PROGRAMS)) {
      // The old content of the screen must not be mistaken for what the program draws.
      await here.type(vmId, 'clear; stty size\n');
      await pollFor('the guest to have the size of the window', async () => {
        const { cols, rows } = await sizeOf(here);
        if ((await screenOf(here)).includes(`${rows} ${cols}`)) return true;
        await here.type(vmId, 'clear; stty size\n');
        return false;
      });
      await here.type(vmId, `clear; ${program}\n`);
      await fills(here, program);
      const before = await screenOf(here);
      await moved(here, there, vmId);
      for (const tab of [there, here]) {
        await fills(tab, program);
        // The processes that `top` shows change by themselves.
        if (!program.startsWith('top')) expect(await screenOf(tab)).toEqual(before);
      }
      [here, there] = [there, here];
      await here.type(vmId, program.startsWith('vi') ? ':q\n' : 'q');
      await pollFor('the shell', async () => (await screenOf(here)).some((line) => line.startsWith('guest#')));
    }
  }
});

test('the console has the size of the tab that used it last', async ({ openHost }) => {
  const [a, b] = [await openHost(), await openHost()];
  await b.page.setViewportSize(PHONE);
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  // A page may show more or less beside its terminal at any time, so we query each size again.
  const guestHasSizeOf = async (tab: HostPage, fits: (cols: number) => boolean): Promise<number | null> => {
    const [{ output }, { cols, rows }, other] = [await a.run(vmId, 'stty size'), await sizeOf(tab), await sizeOf(tab === a ? b : a)];
    if (output === `${rows} ${cols}` && other.cols === cols && other.rows === rows && fits(cols)) return cols;
    throw new Error(`The guest has ${output}, this tab shows ${rows} ${cols}, the other one ${other.rows} ${other.cols}.`);
  };
  const use = (tab: HostPage): Promise<void> => tab.page.locator('[data-testid=console] .xterm-screen').click();
  // Until the tab has measured its page, the terminal has the size that the guest begins with.
  const large = await pollFor('the size of the tab where the VM runs', () => guestHasSizeOf(a, (cols) => cols !== 80));
  await use(b);
  const small = await pollFor('the size of the tab that watches', () => guestHasSizeOf(b, (cols) => cols < large));
  await use(a);
  await pollFor('the size of the tab that is used again', () => guestHasSizeOf(a, (cols) => cols > small));
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
    const typed = Array.from({ length: 200 }, (_, at) => String.fromCharCode(97 + ((at * 7) % 26))).join('');
    await b.type(vmId, typed.slice(0, 60));
    await first.kill();
    await b.type(vmId, typed.slice(60, 140));
    await expect(b.page.locator('[data-testid=typed-waiting]')).toContainText('typed characters are on their way');
    server = await startServer({ port: first.port, dataDir: first.dataDir });
    await b.type(vmId, `${typed.slice(140)}\n\x04`);
    await expect(b.page.locator('[data-testid=typed-waiting]')).toBeHidden();
    await b.waitForPrompt(vmId);
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
  // The shell gives the terminal back before it says go: what is typed then is echoed and kept as a line.
  await keyboard.type('echo g""o; cat\n');
  await a.waitForText(vmId, /\r\ngo\r\n/);
  // As Windows sends AltGr, and as Linux does.
  const session = await a.page.context().newCDPSession(a.page);
  const press = async (key: string, code: string, modifiers: number): Promise<void> => {
    await session.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key, code, modifiers, windowsVirtualKeyCode: code.charCodeAt(3) });
    // A browser on Windows also sends the character, unless the page has handled the key.
    await session.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code, modifiers, windowsVirtualKeyCode: code.charCodeAt(3) });
  };
  const ALT_AND_CTRL = 3;
  await press('@', 'KeyQ', ALT_AND_CTRL);
  await press('€', 'KeyE', ALT_AND_CTRL);
  await session.send('Input.dispatchKeyEvent', { type: 'keyDown', key: 'ą', code: 'KeyA', text: 'ą', windowsVirtualKeyCode: 65 });
  await session.send('Input.dispatchKeyEvent', { type: 'keyUp', key: 'ą', code: 'KeyA', windowsVirtualKeyCode: 65 });
  // A dead key, and an input method: a text that changes until it is committed.
  for (const [draft, done] of [
    ['´', 'é'],
    ['かん', '漢'],
  ] as const) {
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

/** Copies words of the console with both key combinations, and pastes them into a program of the guest. */
async function copiesAndPastes(host: HostPage): Promise<void> {
  const { id: vmId } = await host.runningVm();
  await host.waitForPrompt(vmId);
  const { keyboard } = host.page;
  await host.type(vmId, 'clear; echo first""-words second""-words; cat\n');
  const row = host.page.locator('[data-testid=console]:not([hidden]) .xterm-rows > div').filter({ hasText: /^first-words second-words/ });
  await expect(row).toBeVisible();
  const select = async (text: string): Promise<void> => {
    const { x, y, width } = await row.evaluate((line, wanted) => {
      const range = document.createRange();
      const holder = [...line.querySelectorAll('span')].find((span) => span.textContent.includes(wanted))?.firstChild;
      if (holder == null) throw new Error(`no ${wanted} in ${line.innerHTML}`);
      const at = holder.textContent?.indexOf(wanted) ?? 0;
      range.setStart(holder, at);
      range.setEnd(holder, at + wanted.length);
      const box = range.getBoundingClientRect();
      return { x: box.x, y: box.y + box.height / 2, width: box.width };
    }, text);
    await host.page.mouse.move(x + 1, y);
    await host.page.mouse.down();
    await host.page.mouse.move(x + width - 1, y, { steps: 4 });
    await host.page.mouse.up();
  };
  for (const [text, keys] of [
    ['first-words', 'Control+Shift+C'],
    ['second-words', 'Control+C'],
  ] as const) {
    await select(text);
    await keyboard.press(keys);
    // The page's clipboard interface is asynchronous; without it, copying is done at once.
    await pollFor(`${text} on the clipboard`, () =>
      host.page.evaluate(async (wanted) => !window.isSecureContext || (await navigator.clipboard.readText()) === wanted, text),
    );
    await keyboard.press('Control+V');
    await keyboard.press('Enter');
    // The text appears once as it is typed, and once from the program, which the keys have not ended.
    await host.waitForText(vmId, new RegExp(`\r\n${text}\r\n${text}\r\n`));
  }
  // When nothing is selected any more, Ctrl+C interrupts.
  await keyboard.press('Control+C');
  await host.waitForText(vmId, /\^C\r\n/);
}

test('what is selected in the console is copied by Ctrl+Shift+C and by Ctrl+C, and pasted by Ctrl+V', async ({ openHost, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await copiesAndPastes(await openHost());
});

test('over plain http from a network, where the page has no clipboard interface, the console copies and pastes all the same', async ({ openHost }) => {
  const obstacle = await namespaceObstacle();
  test.skip(obstacle !== null, `needs an address of this machine that is not loopback: ${obstacle ?? ''}`);
  const elsewhere = await createNamespace(10);
  const server = await startServer({ args: ['--host', elsewhere.serverAddress] });
  try {
    const host = await openHost({ server });
    expect(await host.page.evaluate(() => [window.isSecureContext, 'clipboard' in navigator])).toEqual([false, false]);
    await copiesAndPastes(host);
  } finally {
    await server.stop();
    await elsewhere.dispose();
  }
});
