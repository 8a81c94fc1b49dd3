import { networkInterfaces } from 'node:os';
import { outsideAddresses } from '../src/http-server/addresses.ts';
import { HostPage } from './harness/host-page.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

test('A1: the printed address leads to a Linux shell, and a second tab of the plain address is a second host', async ({ server, context }) => {
  const first = new HostPage(await context.newPage(), 'first tab');
  await first.open(server.address);
  const vm = await first.runningVm();
  await first.waitForPrompt(vm.id);
  const { output, status } = await first.run(vm.id, 'uname -sm; id -un');
  expect(output).toBe('Linux i686\nroot');
  expect(status).toBe(0);
  expect((await first.run(vm.id, 'false')).status).toBe(1);

  const second = new HostPage(await context.newPage(), 'second tab');
  await second.open(server.origin);
  const hosts = await second.waitForHosts(2);
  expect(hosts.filter((host) => host.self)).toHaveLength(1);
  expect((await second.vms()).map((each) => each.id)).toEqual([vm.id]);
  expect(first.errors).toEqual([]);
  expect(second.errors).toEqual([]);
});

test('a page that cannot load the guest says why and what to do, in the width of a phone too', async ({ openHost }) => {
  const { page } = await openHost({
    before: async (opened) => {
      await opened.route('**/guest/*/base.snapshot', (route) => route.abort());
    },
  });
  await expect(page.getByTestId('trouble')).toContainText('The guest\'s file "base.snapshot" cannot be loaded');
  for (const width of [1400, 390]) {
    await page.setViewportSize({ width, height: 844 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth), `${width} wide`).toBe(width);
  }
});

test('the invitation is an address that others reach, or says how to make one', async ({ openHost }) => {
  const alone = await openHost({ query: { autostart: '0' } });
  await alone.page.getByRole('button', { name: 'Invite …' }).click();
  const dialog = alone.page.getByRole('dialog');
  await expect(dialog).toContainText('To invite them, start it with npm start -- --host 0.0.0.0');
  await expect(dialog.getByRole('img')).toBeHidden();

  const addresses = outsideAddresses(networkInterfaces());
  test.skip(addresses.length === 0, 'needs an address besides loopback');
  const open = await startServer({ args: ['--host', '0.0.0.0'] });
  const expected = `http://${addresses[0] ?? ''}:${open.port}/`;
  expect(open.output()).toContain(`  ${expected}#`);
  const tab = await openHost({ server: open, query: { autostart: '0' } });
  const invitation = tab.page.getByTestId('invitation');
  await expect(invitation).toHaveAttribute('data-address', new RegExp(`^${expected.replaceAll('.', '\\.')}\\?room=`));
  // A guest of that address is in the same room.
  const guest = new HostPage(await tab.page.context().newPage(), 'guest');
  await guest.open(((await invitation.getAttribute('data-address')) ?? '').replace('?', '?autostart=0&'));
  expect(await guest.waitForHosts(2)).toHaveLength(2);
  await open.stop();
});
