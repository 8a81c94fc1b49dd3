/** C6: where WebRTC does not work, or dies on the way, a VM moves over another link. */
import type { BrowserContext, Page } from '@playwright/test';
import { createTwoSubnets, namespaceObstacle } from './harness/network-namespace.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';
import { shimWorkers } from './harness/worker-shim.ts';

/** A browser without these. */
const without =
  (...names: string[]) =>
  async (page: Page): Promise<void> => {
    await page.addInitScript((missing) => {
      for (const name of missing) Reflect.deleteProperty(window, name);
    }, names);
  };

test('C6: without WebRTC and without a channel between tabs, a VM moves through the relay, and back', async ({ openHost }) => {
  // PeerJS would restore the plain name from the prefixed one.
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

test('C6: without WebRTC, tabs of one browser move a VM over a channel of their own, and back', async ({ openHost }) => {
  const before = without('RTCPeerConnection', 'webkitRTCPeerConnection');
  const a = await openHost({ label: 'tab A', before });
  const vm = await a.runningVm();
  await a.waitForPrompt(vm.id);
  const b = await openHost({ label: 'tab B', before });
  await b.waitForGuest();
  expect(await a.migrate(vm.id, await b.id(), { verify: true })).toMatchObject({ outcome: 'completed', link: 'local', verified: true });
  expect((await b.run(vm.id, 'echo arrived')).output).toBe('arrived');
  expect(await b.migrate(vm.id, await a.id())).toMatchObject({ outcome: 'completed', link: 'local' });
  expect((await a.run(vm.id, 'echo back')).output).toBe('back');
});

for (const { where, kind } of [
  { where: 'one browser', kind: 'local' },
  { where: 'two browsers', kind: 'relay' },
] as const) {
  test(`C6: the link is cut half-way between tabs of ${where}; the move goes on over another from what the target has`, async ({ openHost, browser }) => {
    const contexts: BrowserContext[] = [];
    const options = async (label: string) => {
      if (where === 'one browser') return { label };
      const context = await browser.newContext();
      contexts.push(context);
      return { label, context };
    };
    try {
      const cutAt = 5_000_000;
      const a = await openHost({
        ...(await options('tab A')),
        before: (page) => shimWorkers(page, { faults: [{ at: { phase: 'rounds', bytesSent: cutAt }, what: { type: 'cut' } }] }),
      });
      const { id: vmId } = await a.runningVm();
      await a.waitForPrompt(vmId);
      const b = await openHost(await options('tab B'));
      await b.waitForGuest();
      // Ten megabytes that cannot be compressed and that no base snapshot has.
      await a.run(vmId, 'mkdir -p /tmp/ram && mount -t tmpfs none /tmp/ram && dd if=/dev/urandom of=/tmp/ram/noise bs=1M count=10 2>/dev/null');
      const cut = await a.migrate(vmId, await b.id(), { verify: true, maxPauseMs: 5000 });
      expect(cut).toMatchObject({ outcome: 'completed', link: kind, verified: true });
      // The way back is a fresh start with the same memory.
      const whole = await b.migrate(vmId, await a.id(), { verify: true, maxPauseMs: 5000 });
      expect(whole).toMatchObject({ outcome: 'completed', verified: true });
      expect(whole.bytesOnWire).toBeGreaterThan(10_000_000);
      expect(cut.bytesOnWire - cutAt).toBeLessThan(whole.bytesOnWire * 0.75);
      expect((await a.run(vmId, 'echo back')).output).toBe('back');
    } finally {
      for (const context of contexts) await context.close();
    }
  });
}

test('C6: between two subnets with nothing but our server to help, WebRTC connects', async ({ room, openHost }) => {
  const obstacle = await namespaceObstacle();
  test.skip(obstacle !== null, `needs network namespaces: ${obstacle ?? ''}`);
  const { subnets, onRouter, dispose } = await createTwoSubnets();
  try {
    const server = await startServer({ args: ['--host', '0.0.0.0'], within: onRouter });
    const browsers = [await subnets[0].launchChromium(), await subnets[1].launchChromium()] as const;
    try {
      const tab = async (index: 0 | 1) =>
        openHost({
          room,
          label: `tab ${index}`,
          server: { origin: `http://${subnets[index].routerAddress}:${server.port}` },
          context: await browsers[index].newContext(),
        });
      const a = await tab(0);
      const { id: vmId } = await a.runningVm();
      await a.waitForPrompt(vmId);
      const b = await tab(1);
      await b.waitForGuest();
      await a.waitForWebRtc(await b.id());
      expect(await a.migrate(vmId, await b.id(), { maxPauseMs: 5000 })).toMatchObject({ outcome: 'completed', link: 'webrtc' });
      expect((await b.run(vmId, 'echo arrived')).output).toBe('arrived');
    } finally {
      for (const browser of browsers) await browser.close();
      await server.stop();
    }
  } finally {
    await dispose();
  }
});
