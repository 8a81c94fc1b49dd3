/** VMs of the real guest in Node's workers, over the real relay: what runs in a VM's worker needs no browser. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadGuestSet, type GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import { GUEST_SET, loadGuestParts } from '../emulator-bridge/testing/guest-parts.ts';
import { guestFiles } from '../http-server/guest-files.ts';
import { createRelay, type Relay } from '../net-relay/server/relay-server.ts';
import { memoryKeyValueStore } from '../net-relay/store/key-value-store.ts';
import { NodeHost, type NodeVm } from './testing/node-host.ts';

const parts = loadGuestParts();
/** A guest on a busy host may need many times its usual seconds. */
const LIMIT_MS = 120_000;

describe.skipIf(parts === null)('a VM on hosts in Node', () => {
  if (parts === null) return;
  let relay: Relay;
  let server: Server;
  let guest: GuestSet;
  let base: string;

  beforeAll(async () => {
    relay = createRelay({ store: memoryKeyValueStore() });
    const { manifest } = parts;
    server = createServer(
      express().use(
        '/guest',
        guestFiles(GUEST_SET, [manifest.bios, manifest.vgaBios, manifest.emulator, manifest.disk, manifest.diskChunks, manifest.snapshot]),
      ),
    );
    server.on('upgrade', (request, socket, head) => {
      if (!relay.handleUpgrade(request, socket, head)) socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    guest = await loadGuestSet({ manifestUrl: `http://${base}/guest/manifest.json` }).whole;
  }, LIMIT_MS);
  afterAll(() => {
    relay.dispose();
    server.closeAllConnections();
    server.close();
  });

  const host = (id: string): NodeHost => new NodeHost(id, { relayUrl: `ws://${base}/relay`, room: 'default', key: relay.defaultRoomKey, guest });
  const numbers = (vm: NodeVm): number[] => [...vm.printed.matchAll(/ticker (\d+) gap=/g)].map((match) => Number(match[1]));

  it(
    'moves there and back while it computes, with every page compared, and its ticker leaves out and repeats no number',
    async () => {
      await using first = host('first');
      await using second = host('second');
      let vm = await first.start();
      vm.type('ticker 50\n');
      await vm.until(/ticker 5 gap=/);
      const seen: number[] = [];
      for (const [from, to] of [
        [first, second],
        [second, first],
      ] as const) {
        const left = vm;
        const { report, arrived } = await from.migrate(vm, to, { verify: true });
        expect(report).toMatchObject({ outcome: 'completed', verified: true, link: 'relay' });
        seen.push(...numbers(left));
        vm = arrived!;
        await vm.until(new RegExp(`ticker ${seen.at(-1)! + 5} gap=`));
        expect(left.troubles).toEqual([]);
      }
      seen.push(...numbers(vm));
      expect(seen).toEqual(seen.map((_, index) => seen[0]! + index));
      expect(vm.troubles).toEqual([]);
    },
    LIMIT_MS,
  );
});
