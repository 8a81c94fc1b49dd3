/** NR24: a PC whose tab is gone for good does not stay in the room for ever. */
import { openCable } from './harness/cable.ts';
import { pollFor } from './harness/poll-for.ts';
import { expect, test } from './harness/test.ts';

/** Ten seconds in which the tab is still shown, ten more in which it may be on its way back, and a busy machine. */
const LONG_GONE_MS = 45_000;

test('a PC whose tab is away is forgotten at the second press, and ends in that tab if it comes back after all', async ({ openHost, room, server }) => {
  const cable = await openCable(server.origin);
  try {
    const owner = await openHost({ label: 'owner', server: cable });
    const { id: vmId, name } = await owner.runningVm();
    const other = await openHost({ label: 'other' });
    await other.waitForHosts(2);
    await other.waitForGuest();
    const away = other.page.locator('[data-testid=host-card][data-away]');
    const forget = other.page.getByTestId('forget-button');
    const vms = async (): Promise<readonly string[]> => (await room.describe(server.origin)).vms.map((vm) => vm.id);
    await other.page.locator(`[data-testid=vm-chip][data-vm-id="${vmId}"]`).click();
    await expect(forget).toBeHidden();

    cable.pull();
    await expect(away).toContainText(name, { timeout: LONG_GONE_MS });
    await forget.click();
    await expect(forget).toHaveText('It cannot come back then. Forget?');
    expect(await vms()).toEqual([vmId]);
    // It was here a moment ago.
    await forget.click();
    await expect(other.page.getByTestId('notice')).toContainText('may be on its way back');
    expect(await vms()).toEqual([vmId]);
    await expect
      .poll(
        async () => {
          // The button disappears with the PC, perhaps between two presses.
          for (let press = 0; press < 2; press++) await forget.click({ timeout: 1000 }).catch(() => undefined);
          return (await vms()).length;
        },
        { message: 'the room to have forgotten it', timeout: LONG_GONE_MS, intervals: [1000] },
      )
      .toBe(0);
    await expect(away).toHaveCount(0);
    const next = await other.start();

    cable.mend();
    await expect(owner.page.locator(`[data-testid=vm-chip][data-vm-id="${vmId}"]`)).toHaveAttribute('data-state', 'ended');
    await expect(owner.page.getByTestId('migration-log')).toContainText('The room has forgotten this PC while this tab was away');
    await pollFor('the owner to have no VM worker', async () => (await owner.vmWorkers()) === 0);
    expect(await vms()).toEqual([next.id]);
    expect((await other.run(next.id, 'echo on its own')).output).toBe('on its own');
  } finally {
    await cable.close();
  }
});
