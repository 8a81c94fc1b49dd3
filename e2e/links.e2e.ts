/** Where WebRTC does not work, a VM moves over another link (part of C6). */
import type { Page } from '@playwright/test';
import { expect, test } from './harness/test.ts';

/** A browser without these. */
const without = (...names: string[]) => async (page: Page): Promise<void> => {
  await page.addInitScript((missing) => {
    for (const name of missing) Reflect.deleteProperty(window, name);
  }, names);
};

for (const { link, missing } of [
  { link: 'local', missing: ['RTCPeerConnection'] },
  { link: 'relay', missing: ['RTCPeerConnection', 'BroadcastChannel'] },
]) {
  test(`C6: without ${missing.join(' and ')} a VM moves over the ${link} link, and back`, async ({ openHost }) => {
    const before = without(...missing);
    const a = await openHost({ label: 'tab A', before });
    const vm = await a.runningVm();
    await a.waitForPrompt(vm.id);
    const b = await openHost({ label: 'tab B', before });
    await b.waitForGuest();
    expect(await a.migrate(vm.id, await b.id(), { verify: true })).toMatchObject({ outcome: 'completed', link, verified: true });
    expect((await b.run(vm.id, 'echo arrived')).output).toBe('arrived');
    expect(await b.migrate(vm.id, await a.id())).toMatchObject({ outcome: 'completed', link });
    expect((await a.run(vm.id, 'echo back')).output).toBe('back');
  });
}
