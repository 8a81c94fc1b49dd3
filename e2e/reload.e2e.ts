/** NR26: after a tab was reloaded or closed, the tab itself and the others say what became of its PC. */
import { expect, test } from './harness/test.ts';

test('a reloaded tab that was alone says that its PC ended and that the one it runs now is new, until that is dismissed', async ({
  openHost,
  room,
  server,
}) => {
  const tab = await openHost({ label: 'tab A' });
  const first = await tab.runningVm();
  await tab.page.reload();
  await tab.waitUntilReady();
  const second = await tab.runningVm();
  expect(second.id).not.toBe(first.id);
  const ended = tab.page.getByTestId('ended');
  await expect(ended).toContainText(`${first.name} ended when this tab was reloaded or left.`);
  await expect(ended).toContainText('The PC in this tab now is a new one.');
  await expect(tab.page.getByTestId('migration-log')).toContainText(`${first.name} ended when this tab was reloaded or left.`);
  expect((await room.describe(server.origin)).ended).toMatchObject([{ id: first.id, name: first.name, hostName: 'tab A', how: 'tab-closed' }]);

  await ended.getByTestId('dismiss-ended').click();
  await expect(ended).toBeHidden();
  expect((await room.describe(server.origin)).ended).toEqual([]);
  expect(await tab.runningVm(second.id)).toMatchObject({ id: second.id });
});

test('in a shared room a reloaded tab offers a new PC in place of its own, and the others learn what became of it', async ({ openHost }) => {
  const a = await openHost({ label: 'tab A' });
  const { id, name } = await a.runningVm();
  const b = await openHost({ label: 'tab B' });
  await b.waitForHosts(2);
  await a.page.reload();
  await a.waitUntilReady();
  await a.waitForGuest();
  for (const tab of [a, b]) await expect(tab.page.getByTestId('headline')).toContainText('No PC runs in this room any more.');
  await expect(a.page.getByTestId('ended')).toContainText(`${name} ended when this tab was reloaded or left.`);
  await expect(b.page.getByTestId('ended')).toContainText(`${name} ended when its tab, tab A, was closed or reloaded.`);
  await expect(b.page.getByTestId('migration-log')).toContainText(`${name} ended when its tab, tab A, was closed or reloaded.`);

  const start = a.page.getByTestId('start-vm');
  await expect(start).toHaveText('Start a new PC');
  await start.click();
  expect((await a.runningVm()).id).not.toBe(id);
  for (const tab of [a, b]) await expect(tab.page.getByTestId('ended')).toBeHidden();

  // A tab that joins later learns of the second one as well.
  await a.page.close({ runBeforeUnload: false });
  const c = await openHost({ label: 'tab C' });
  await expect(c.page.getByTestId('ended')).toContainText('ended when its tab, tab A, was closed or reloaded.');
  await c.page.getByTestId('dismiss-ended').click();
  await expect(b.page.getByTestId('ended')).toBeHidden();
});
