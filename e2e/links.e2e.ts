/** Where WebRTC does not work, a VM moves over another link (part of C6). */
import type { Page } from '@playwright/test';
import { expect, test } from './harness/test.ts';

/** A browser without these. */
const without = (...names: string[]) => async (page: Page): Promise<void> => {
  await page.addInitScript((missing) => {
    for (const name of missing) Reflect.deleteProperty(window, name);
  }, names);
};

test('C6: without WebRTC and without a channel between tabs, a VM moves through the relay, and back', async ({ openHost }) => {
  // PeerJS brings the prefixed name back as the plain one.
  const before = without('RTCPeerConnection', 'webkitRTCPeerConnection', 'BroadcastChannel');
  const a = await openHost({ label: 'tab A', before });
  const vm = await a.runningVm();
  await a.waitForPrompt(vm.id);
  const b = await openHost({ label: 'tab B', before });
  await b.waitForGuest();
  expect(await a.migrate(vm.id, await b.id(), { verify: true })).toMatchObject({ outcome: 'completed', link: 'relay', verified: true });
  expect((await b.run(vm.id, 'echo arrived')).output).toBe('arrived');
  expect(await b.migrate(vm.id, await a.id())).toMatchObject({ outcome: 'completed', link: 'relay' });
  expect((await a.run(vm.id, 'echo back')).output).toBe('back');
});
