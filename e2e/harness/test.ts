/** `test` with the real server (one per worker), a room of its own, and a record of every tab for failures. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { test as base, type Browser, type BrowserContext, type Page } from '@playwright/test';
import type { Tab } from '../../src/host/scripting-interface.ts';
import { HostPage } from './host-page.ts';
import { createNamespace, namespaceObstacle, type NetworkNamespace } from './network-namespace.ts';
import { newRoom, type Room } from './room.ts';
import { takeOpenedTabs, type ScriptedTab } from './scripted-tab.ts';
import { startServer, type ServerProcess } from './server-process.ts';

export { expect } from '@playwright/test';

export interface OpenHostOptions {
  readonly room?: Room;
  readonly server?: Pick<ServerProcess, 'origin'>;
  /** Where the tab opens; the test's own context if none is given. */
  readonly context?: BrowserContext;
  readonly label?: string;
  /** Further parts of the address, e.g. `{ autostart: '0' }`. */
  readonly query?: Readonly<Record<string, string>>;
  /** Called with the page before it loads anything. */
  readonly before?: (page: Page) => Promise<void>;
}

interface TestFixtures {
  /** Skips the test, visibly, where its network cannot be made. */
  networkIsThere: undefined;
  /** Keeps pictures and consoles of every tab of a test that failed. */
  recordOfFailure: undefined;
  room: Room;
  /** Opens a tab of the room and waits until it has joined. */
  openHost: (options?: OpenHostOptions) => Promise<HostPage>;
}

/** Where the browser is: on this machine's loopback, or on another computer in another network (A12). */
type NetworkKind = 'loopback' | 'namespace';

export interface WorkerOptions {
  network: NetworkKind;
}

interface WorkerFixtures extends WorkerOptions {
  /** null on loopback. */
  namespace: NetworkNamespace | null;
  server: ServerProcess;
  browser: Browser;
}

export const test = base.extend<TestFixtures, WorkerFixtures>({
  network: ['loopback', { option: true, scope: 'worker' }],

  networkIsThere: [
    async ({ network }, use, testInfo) => {
      const obstacle = network === 'namespace' ? await namespaceObstacle() : null;
      testInfo.skip(obstacle !== null, `needs a network namespace: ${obstacle ?? ''}`);
      await use(undefined);
    },
    { auto: true },
  ],

  namespace: [
    async ({ network }, use) => {
      const namespace = network === 'namespace' ? await createNamespace(0) : null;
      await use(namespace);
      await namespace?.dispose();
    },
    { scope: 'worker' },
  ],

  server: [
    async ({ namespace }, use) => {
      const server = await startServer({ args: namespace === null ? [] : ['--host', namespace.serverAddress] });
      await use(server);
      await server.stop();
    },
    { scope: 'worker', timeout: 90_000 },
  ],

  browser: [
    async ({ namespace, playwright, launchOptions }, use) => {
      const browser = namespace === null ? await playwright.chromium.launch(launchOptions) : await namespace.launchChromium();
      await use(browser);
      await browser.close();
    },
    { scope: 'worker', timeout: 60_000 },
  ],

  room: async ({}, use) => {
    await use(newRoom());
  },

  recordOfFailure: [
    async ({ server, context }, use, testInfo) => {
      takeOpenedTabs();
      await use(undefined);
      const tabs = takeOpenedTabs();
      const record: string[] = [];
      if (testInfo.status !== testInfo.expectedStatus) {
        // As files, so that they are in test-results with any reporter.
        const keep = async (name: string, body: string | Buffer): Promise<void> => {
          const path = testInfo.outputPath(name);
          await writeFile(path, body);
          await testInfo.attach(name, { path });
        };
        for (const tab of tabs) await keepRecord(tab, keep);
        await keep('server.txt', server.output());
        for (const tab of tabs) record.push(await shortRecord(tab));
      }
      // A tab that runs a VM asks before it closes; tests close it without an answer.
      for (const tab of tabs) if (tab instanceof HostPage) await tab.page.close({ runBeforeUnload: false }).catch(() => undefined);
      // Named, so that it is closed after the record is made.
      await context.close();
      // Printed with the failure: a run elsewhere may leave nothing but what it printed.
      if (record.length > 0) throw Object.assign(new Error(`The tabs as they were then:\n${record.join('\n')}`), { stack: '' });
    },
    { auto: true },
  ],

  openHost: async ({ context, server, room }, use) => {
    let count = 0;
    await use(async (options = {}) => {
      const page = await (options.context ?? context).newPage();
      const host = new HostPage(page, options.label ?? `tab ${++count}`);
      await options.before?.(page);
      await host.open((options.room ?? room).address((options.server ?? server).origin, { name: host.label, ...options.query }));
      return host;
    });
  },
});

const SHORT_RECORD_LINES = 30;
const SHORT_RECORD_COLUMNS = 200;
const ANSWER_LIMIT_MS = 5_000;

/** The end of a tab's log and of what it wrote to the browser's console, each line once, as far as the tab still answers. */
async function shortRecord(tab: ScriptedTab): Promise<string> {
  const log = await answerOf(tab, () =>
    (window.tabmotion as Tab).view().log.map(({ at, level, text }) => `${new Date(at).toISOString().slice(11)} ${level}: ${text}`),
  );
  const section = (title: string, lines: readonly string[]): string[] => {
    const short = new Set(lines.map((line) => line.slice(0, SHORT_RECORD_COLUMNS)));
    return [`--- ${tab.label}, ${title}`, ...[...short].slice(-SHORT_RECORD_LINES)];
  };
  return [...section('its log', log ?? ['(no answer)']), ...section("the browser's console", tab.messages)].join('\n');
}

/** What the page answers, or null if it cannot. */
async function answerOf<T>(tab: ScriptedTab, ask: () => T): Promise<T | null> {
  if (tab.script.isClosed()) return null;
  return Promise.race([tab.script.evaluate(ask), sleep(ANSWER_LIMIT_MS, null)]).catch(() => null);
}

/** A picture, the browser's console and every VM's console of a tab, as far as the tab still answers. */
async function keepRecord(tab: ScriptedTab, keep: (name: string, body: string | Buffer) => Promise<void>): Promise<void> {
  const name = tab.label.replaceAll(/\W+/g, '-');
  await keep(`${name}-messages.txt`, tab.messages.join('\n'));
  if (tab.script.isClosed()) return;
  const picture = tab instanceof HostPage ? await tab.page.screenshot({ timeout: ANSWER_LIMIT_MS }).catch(() => null) : null;
  if (picture !== null) await keep(`${name}.png`, picture);
  const text = await answerOf(tab, () => {
    const log = document.body.innerText;
    const consoles = window.tabmotion.vms().map((vm) => `--- ${vm.id} (${vm.state})\n${window.tabmotion.console(vm.id).text()}`);
    return `${log}\n\n${consoles.join('\n\n')}`;
  });
  if (text !== null) await keep(`${name}-consoles.txt`, text);
}
