import { afterEach, expect, it, vi } from 'vitest';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import type { FromVmWorker, ToVmWorker } from '../vm-host/vm-worker-messages.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import { LocalVms, type LocalVmsOptions } from './local-vms.ts';
import { systemClock } from '../shared/system-clock.ts';

const [A, B, VM, MOVE] = ['a' as HostId, 'b' as HostId, 'vm-1' as VmId, 'm' as MigrationId];

afterEach(() => void vi.unstubAllGlobals());

it('takes VMs in, and says so once, as soon as any load of the guest has succeeded', async () => {
  // A browser without Web Locks.
  vi.stubGlobal('navigator', {});
  let attempts = 0;
  /** The first load fails. */
  class FakeWorker {
    onmessage: ((event: { data: FromVmWorker }) => void) | null = null;
    terminate = vi.fn();
    postMessage({ type }: ToVmWorker): void {
      if (type !== 'load') return;
      const failed = attempts++ === 0;
      const answer: FromVmWorker = failed
        ? { type: 'failed', reason: 'The server cannot be reached.' }
        : { type: 'loaded', guest: { manifest: { memoryBytes: 1 } } as GuestSet };
      this.onmessage?.({ data: answer });
    }
  }
  const guestLoaded = vi.fn();
  const vms = new LocalVms({
    clock: systemClock,
    self: A,
    relay: () => ({}),
    spawn: () => new FakeWorker() as unknown as Worker,
    expectsVm: () => false,
    guestLoaded,
    room: { createVm: () => Promise.reject(new Error('The room is full.')) },
    changed: () => undefined,
  } as unknown as LocalVmsOptions);
  await expect(vms.guest()).rejects.toThrow('cannot be reached');
  expect(() => vms.accept(B, MOVE, VM, 0, () => undefined)).toThrow('could not load the PC');
  expect(guestLoaded).not.toHaveBeenCalled();
  // The user presses Start: that loads again.
  await expect(vms.start(undefined, 1)).rejects.toThrow('full');
  const hand = vi.fn();
  expect(vms.accept(B, MOVE, VM, 0, hand)).toBe('open');
  expect(hand).toHaveBeenCalledTimes(1);
  await vms.guest();
  expect(guestLoaded).toHaveBeenCalledTimes(1);
});

it('forgets where a VM went, and what was told of it, once the room no longer lists it', () => {
  const listed = new Set(['there']);
  const room = { vm: (vmId: VmId) => (listed.has(vmId) ? { id: vmId } : undefined) };
  const vms = new LocalVms({ self: A, clock: systemClock, room } as unknown as LocalVmsOptions);
  for (const vmId of ['there', 'gone'] as VmId[]) {
    vms.movedTo.set(vmId, B);
    vms.details.set(vmId, { password: 'secret', waitingFor: null });
  }
  vms.listed();
  expect([...vms.movedTo.keys()]).toEqual(['there']);
  expect([...vms.details.keys()]).toEqual(['there']);
});
