/** How many VMs there may be, and for how long if nobody runs them. */
import { afterEach, describe, expect, it } from 'vitest';
import { vmRefusal } from './refusals.ts';
import { RELAY_PROTOCOL_VERSION } from '../protocol/relay-protocol.ts';
import type { ServerLimits } from '../limits/server-limits.ts';
import { TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

let lan: VirtualLan;
const open = (limits: Partial<ServerLimits> = {}): void => void (lan = new VirtualLan(limits));
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

describe('a VM whose host has gone without a word', () => {
  it('is forgotten after a minute if it never ran, and kept for a day if it did (NR20)', async () => {
    open();
    const host = lan.host('a');
    await lan.pass(20);
    const [ran, neverRan] = [await lan.createVm(host), await lan.createVm(host)];
    lan.own('a', ran, new TestNic());
    await lan.pass(120_000);
    const known = (): unknown[] => lan.relay.roomStatus('default', lan.relay.defaultRoomKey)?.vms.map(({ id }) => id) ?? [];
    // Its host is here, and may still start it.
    expect(known()).toEqual([ran.vmId, neverRan.vmId]);
    lan.network.relay = null;
    lan.network.cut('a');
    await lan.pass(80_000);
    expect(known()).toEqual([ran.vmId]);
    expect([...lan.records.keys()].filter((key) => key.startsWith('vm/'))).toEqual([`vm/default/${ran.vmId}`]);
    await lan.pass(3_600_000);
    expect(known()).toEqual([ran.vmId]);
  });
});

describe('a room whose VMs may come back', () => {
  it('is said to be left once nobody has been in it for half a minute, and again, until somebody comes', async () => {
    open();
    const host = lan.host('a');
    await lan.pass(20);
    lan.own('a', await lan.createVm(host), new TestNic());
    let left = 0;
    lan.lans[0]!.onLeft(() => left++);
    await lan.pass(100_000);
    expect(left).toBe(0);
    host.dispose();
    await lan.pass(28_000);
    expect(left).toBe(0);
    await lan.pass(4000);
    expect(left).toBe(1);
    await lan.pass(30_000);
    expect(left).toBe(2);
    lan.host('b');
    await lan.pass(100_000);
    expect(left).toBe(2);
  });
});

describe('how many VMs there may be (NR34)', () => {
  it('is bounded for the server, and for those that hosts of one address made', () => {
    const limits = { vms: 5, vmsPerAddress: 2 };
    const [mine, other, local] = [{ maker: '192.0.2.1' }, { maker: '192.0.2.2' }, { maker: null }];
    expect(vmRefusal([mine, other, local, local], '192.0.2.1', limits)).toBeNull();
    expect(vmRefusal([mine, mine], '192.0.2.1', limits)).toMatch(/Your network .* End one first\./);
    expect(vmRefusal([mine, mine, local, local], null, limits)).toBeNull();
    expect(vmRefusal([mine, mine, local, local, local], null, limits)).toMatch(/The server has as many PCs/);
    open();
  });

  it('counts the VMs of all rooms, and counts one no more that has ended', async () => {
    open({ vmsPerAddress: 2 });
    const replies: { ok: boolean; reason?: string; value?: { vmId: string } }[] = [];
    const hostIn = (room: string) => {
      const events = lan.relay.connect(
        'host',
        {
          backlogBytes: 0,
          sendText: (text) => {
            const message = JSON.parse(text) as { type: string };
            if (message.type === 'reply') replies.push(message as never);
          },
          sendUtf8: () => undefined,
          sendBinary: () => undefined,
          pause: () => undefined,
          resume: () => undefined,
          close: () => undefined,
          terminate: () => undefined,
        },
        { address: '192.0.2.1' },
      );
      const say = (message: object): void => events.text(JSON.stringify(message));
      say({
        type: 'hello',
        version: RELAY_PROTOCOL_VERSION,
        room,
        key: `a-key-of-${room}-0123456789`,
        hostId: 'h',
        hostToken: 'a-token-0123456789',
        name: room,
      });
      return say;
    };
    const [one, two] = [hostIn('one'), hostIn('two')];
    for (const [say, requestId] of [
      [one, 1],
      [two, 1],
      [two, 2],
    ] as const)
      say({ type: 'create-vm', requestId, memoryBytes: 1 });
    expect(replies.map(({ ok }) => ok)).toEqual([true, true, false]);
    one({ type: 'destroy-vm', requestId: 2, vmId: replies[0]?.value?.vmId, epoch: 1 });
    two({ type: 'create-vm', requestId: 3, memoryBytes: 1 });
    expect(replies.map(({ ok }) => ok)).toEqual([true, true, false, true, true]);
    await lan.pass(20);
  });
});
