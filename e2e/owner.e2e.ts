/** What the owner of a room does from its page: NR43 to NR46. */
import type { Locator } from '@playwright/test';
import { HostPage } from './harness/host-page.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

const STRANGE_ROOM = 'This room is open to invited people only';

test('the owner changes the key, removes a tab and closes the room, while the PCs of those who stay run on and move', async ({ browser }) => {
  const first = await startServer();
  let server = first;
  const open = async (label: string, address: string): Promise<HostPage> => {
    const host = new HostPage(await (await browser.newContext()).newPage(), label);
    await host.open(address);
    return host;
  };
  const twice = async (button: Locator): Promise<void> => {
    await button.click();
    await button.click();
  };
  const refusedAt = async (address: string, words: string): Promise<void> => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(address);
    await expect(page.getByTestId('trouble')).toContainText(words);
    await page.context().close();
  };

  const owner = await open('owner', `${first.origin}/?room=seminar`);
  try {
    const { id: vmId } = await owner.runningVm();
    await owner.waitForPrompt(vmId);
    const oldLink = owner.page.url();
    const [guest, rogue] = [
      await open('guest', oldLink.replace('room=seminar', 'room=seminar&autostart=0')),
      await open('rogue', oldLink.replace('room=seminar', 'room=seminar&autostart=0')),
    ];
    await owner.waitForHosts(3);
    await expect(guest.page.getByTestId('owner-open')).toBeHidden();
    await rogue.waitForGuest();
    await rogue.start();
    const sleeper = await owner.run(vmId, 'sleep 900 & echo $!');

    await owner.page.getByTestId('owner-open').click();
    await twice(owner.page.getByTestId('change-key'));
    await expect.poll(() => owner.page.url()).not.toBe(oldLink);
    const newLink = owner.page.url();
    await expect.poll(() => guest.page.url()).toContain(new URL(newLink).hash);
    await refusedAt(oldLink, STRANGE_ROOM);
    expect(await owner.waitForHosts(3)).toHaveLength(3);

    const rogueId = await rogue.id();
    await twice(owner.page.locator(`[data-host-id="${rogueId}"] [data-testid=remove-host]`));
    await expect(rogue.page.getByTestId('trouble')).toContainText('has removed this tab from the room');
    await expect.poll(() => guest.page.evaluate(() => window.tabmotion.vms().map((vm) => vm.id))).toEqual([vmId]);
    await expect.poll(() => rogue.page.workers().length, { timeout: 60_000 }).toBe(0);
    await refusedAt(newLink, STRANGE_ROOM);
    await rogue.page.context().close();
    await owner.page.getByRole('button', { name: 'Done' }).click();

    // Sockets that were opened with the first key come back after a restart, and the PC moves.
    await first.kill();
    server = await startServer({ port: first.port, dataDir: first.dataDir });
    await owner.waitForHosts(2);
    await guest.waitForGuest();
    const report = await owner.migrate(vmId, await guest.id(), { verify: true });
    expect(report).toMatchObject({ outcome: 'completed', verified: true });
    expect((await guest.run(vmId, `kill -0 ${sleeper.output} && echo it sleeps`)).output).toBe('it sleeps');

    await owner.page.getByTestId('owner-open').click();
    await twice(owner.page.getByTestId('close-room'));
    for (const host of [owner, guest]) await expect(host.page.getByTestId('trouble')).toContainText('has closed the room');
    await expect.poll(() => guest.page.workers().length, { timeout: 60_000 }).toBe(0);
  } finally {
    await server.stop();
    if (server !== first) await first.stop();
  }
});

test("the default room belongs to who opens the owner's address that the server prints for a network", async ({ browser }) => {
  const server = await startServer({ args: ['--behind-proxy'] });
  try {
    const path = /(\/#[\w-]+&owner=[\w-]+) instead/.exec(server.output())?.[1];
    expect(path).toBeDefined();
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${server.origin}/?autostart=0${path?.slice(1) ?? ''}`);
    await expect(page.getByTestId('owner-open')).toBeVisible();
    await expect.poll(() => page.url()).not.toContain('owner=');
    // This browser is the owner from now on.
    await page.goto(`${server.origin}/?autostart=0`);
    await page.getByTestId('owner-open').click();
    for (let press = 0; press < 2; press++) await page.getByTestId('change-key').click();
    await expect.poll(() => server.output()).toContain('The owner of the default room has changed its key.');
    await page.context().close();
  } finally {
    await server.stop();
  }
});
