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
    const [from, to] = (await a.vm(vmId))?.hostId === await a.id() ? [a, b] : [b, a];
    await openScreen(from);
    await from.page.keyboard.down(key);
    expect((await from.migrate(vmId, await to.id())).outcome).toBe('completed');
    await openScreen(to);
    await to.page.keyboard.type(`echo ${key.toLowerCase()}-is-free\n`);
    await waitForScreen(to, vmId, new RegExp(`^${key.toLowerCase()}-is-free`, 'm'));
    // The finger goes up at last, where nobody listens.
    await from.page.keyboard.up(key);
  }
});
