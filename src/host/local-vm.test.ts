import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import { LocalVm, type LocalVmEvents } from './local-vm.ts';
import type { FromVmWorker, ToVmWorker } from './vm-worker-messages.ts';

/** A VM that arrives, with a worker that says what the test lets it say. */
function arrivingVm() {
  const worker = { onmessage: null as ((event: { data: FromVmWorker }) => void) | null, onerror: null, postMessage: () => undefined, terminate: () => undefined };
  const heard: string[] = [];
  const events = new Proxy({}, { get: (_, name) => (vm: LocalVm) => heard.push(`${String(name)} ${vm.printsHere}`) }) as LocalVmEvents;
  const state = { kind: 'arriving', migrationId: 'm' as MigrationId, from: 'a' as HostId } as const;
  const vm = new LocalVm('vm-1' as VmId, state, () => worker as unknown as Worker, { type: 'prepare' } as ToVmWorker, events);
  return { vm, heard, say: (data: FromVmWorker) => worker.onmessage?.({ data }) };
}

describe('LocalVm', () => {
  // A browser without Web Locks.
  beforeEach(() => void vi.stubGlobal('navigator', {}));
  afterEach(() => void vi.unstubAllGlobals());

  it('prints here from the moment its console continues, before it is known to run', () => {
    const { vm, heard, say } = arrivingVm();
    expect(vm.printsHere).toBe(false);
    say({ type: 'console-continues', scrollback: new Uint8Array(7), printed: 7 });
    say({ type: 'console', data: new Uint8Array(7) });
    expect(vm.state.kind).toBe('arriving');
    expect(heard).toEqual(['consoleContinues true', 'output true']);
  });
});
