import { afterEach, expect, it, vi } from 'vitest';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import { LocalVms, type LocalVmsOptions } from './local-vms.ts';
import { systemClock } from '../shared/system-clock.ts';

const [A, B, VM, MOVE] = ['a' as HostId, 'b' as HostId, 'vm-1' as VmId, 'm' as MigrationId];

afterEach(() => void vi.unstubAllGlobals());

it('takes VMs in, and says so once, as soon as any load of the guest has succeeded', async () => {
  // A browser without Web Locks.
  vi.stubGlobal('navigator', {});
  const worker = { postMessage: vi.fn(), terminate: vi.fn() };
  let attempts = 0;
  const guestLoaded = vi.fn();
  const vms = new LocalVms({
    clock: systemClock,
    self: A,
    relay: () => ({}),
    spawn: () => worker as unknown as Worker,
    mayReceive: () => false,
    loadGuest: () =>
      attempts++ === 0 ? Promise.reject(new Error('The server cannot be reached.')) : Promise.resolve({ manifest: { memoryBytes: 1 } } as GuestSet),
    guestLoaded,
    loadedShare: () => 1,
    room: { createVm: () => Promise.reject(new Error('The room is full.')) },
    changed: () => undefined,
  } as unknown as LocalVmsOptions);
  await expect(vms.guest()).rejects.toThrow('cannot be reached');
  expect(vms.accept(B, MOVE, VM, 0, () => undefined)).toEqual({ loaded: 1 });
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
