/** `test` with the real server (one per worker), a room of its own, and a record of every tab for failures. */
import { test as base, type BrowserContext, type Page } from '@playwright/test';
import { HostPage } from './host-page.ts';
import { newRoom, type Room } from './room.ts';
import { startServer, type RunningServer } from './server-process.ts';

export { expect } from '@playwright/test';

export interface OpenHostOptions {
  readonly room?: Room;
  readonly server?: Pick<RunningServer, 'origin'>;
  /** Where the tab opens; the test's own context if none is given. */
  readonly context?: BrowserContext;
  readonly label?: string;
  /** Further parts of the address, e.g. `{ autostart: '0' }`. */
  readonly query?: Readonly<Record<string, string>>;
  /** Called with the page before it loads anything. */
  readonly before?: (page: Page) => Promise<void>;
}

interface TestFixtures {
  room: Room;
  /** Opens a tab of the room and waits until it has joined. */
  openHost: (options?: OpenHostOptions) => Promise<HostPage>;
}

interface WorkerFixtures {
  server: RunningServer;
}

export const test = base.extend<TestFixtures, WorkerFixtures>({
  server: [
    async ({}, use) => {
      const server = await startServer();
      await use(server);
      await server.stop();
    },
    { scope: 'worker', timeout: 90_000 },
  ],

  room: async ({}, use) => {
    await use(newRoom());
  },

  openHost: async ({ context, server, room }, use, testInfo) => {
    const opened: HostPage[] = [];
    await use(async (options = {}) => {
      const page = await (options.context ?? context).newPage();
      const host = new HostPage(page, options.label ?? `tab ${opened.length + 1}`);
      opened.push(host);
      await options.before?.(page);
      await host.open((options.room ?? room).address((options.server ?? server).origin, options.query));
      return host;
    });
    if (testInfo.status !== testInfo.expectedStatus) {
      for (const host of opened) await keepRecord(host, async (name, body, contentType) => testInfo.attach(name, { body, contentType }));
      await testInfo.attach('server.txt', { body: server.output(), contentType: 'text/plain' });
    }
    // A tab that runs a VM asks before it closes; tests close it without an answer.
    for (const host of opened) await host.page.close({ runBeforeUnload: false }).catch(() => undefined);
  },
});

/** A picture, the browser's console and every VM's console of a tab, as far as the tab still answers. */
async function keepRecord(host: HostPage, attach: (name: string, body: string | Buffer, contentType: string) => Promise<void>): Promise<void> {
  const name = host.label.replaceAll(/\W+/g, '-');
  await attach(`${name}-messages.txt`, host.messages.join('\n'), 'text/plain');
  if (host.page.isClosed()) return;
  const limit = { timeout: 5_000 };
  const picture = await host.page.screenshot(limit).catch(() => null);
  if (picture !== null) await attach(`${name}.png`, picture, 'image/png');
  const text = await Promise.race([
    host.page.evaluate(() => {
      const log = document.body.innerText;
      const consoles = window.tabmotion.vms().map((vm) => `--- ${vm.id} (${vm.state})\n${window.tabmotion.console(vm.id).text()}`);
      return `${log}\n\n${consoles.join('\n\n')}`;
    }),
    new Promise<null>((resolve) => setTimeout(() => resolve(null), limit.timeout)),
  ]).catch(() => null);
  if (text !== null) await attach(`${name}-consoles.txt`, text, 'text/plain');
}
