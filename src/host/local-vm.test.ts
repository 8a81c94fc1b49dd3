import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../shared/ids.ts';
import { LocalVm, type LocalVmEvents, type LocalVmState } from './local-vm.ts';
import { VmHandle } from './vm-handle.ts';
import type { FromVmWorker, RelayAccess, ToVmWorker, VmIdentity } from '../vm-host/vm-worker-messages.ts';
import { systemClock } from '../shared/system-clock.ts';

const [VM, MOVE, A, B] = ['vm-1' as VmId, 'm' as MigrationId, 'a' as HostId, 'b' as HostId];
const IDENTITY = { vmId: VM } as VmIdentity;
const EPOCH = 1 as LeaseEpoch;

/** A VM with a worker that says what the test lets it say. */
function vmIn(state: LocalVmState, elsewhere = false) {
  const worker = {
    onmessage: null as ((event: { data: FromVmWorker }) => void) | null,
    onerror: null as ((event: { message: string; preventDefault: () => void }) => void) | null,
    onmessageerror: null as (() => void) | null,
    orders: [] as string[],
    terminated: false,
    postMessage: ({ type }: ToVmWorker) => worker.orders.push(type),
    terminate: () => void (worker.terminated = true),
  };
  const heard: string[] = [];
  const events = new Proxy(
    {},
    {
      get: (_, name) => (vm: LocalVm) => {
        if (name === 'stepped') return;
        heard.push(`${String(name)} ${vm.printsHere}`);
        return Promise.resolve(elsewhere);
      },
    },
  ) as LocalVmEvents;
  const vm = new LocalVm(VM, state, new VmHandle(() => worker as unknown as Worker), {} as RelayAccess, events, systemClock);
  return { vm, heard, worker, say: (data: FromVmWorker) => worker.onmessage?.({ data }) };
}

const arrivingVm = () => vmIn({ kind: 'arriving', migrationId: MOVE, from: A });
const ORDER = { id: MOVE, vmId: VM, from: A, to: B, memoryBytes: 1, options: {} };
const PROGRESS = { id: MOVE, vmId: VM, from: A, to: B, round: 1, pagesLeft: 1, pagesSent: 1, bytesSent: 7, bytesPerSecond: 1, expectedPauseMs: 1 };

/** A VM that moves away; `open`: its link is open, and its worker runs the migration. */
async function departingVm(open: boolean, elsewhere = false) {
  const made = vmIn({ kind: 'running', identity: IDENTITY, epoch: EPOCH }, elsewhere);
  let signal: AbortSignal | null = null;
  const departure = made.vm.depart(ORDER, (handOver, waiter) => {
    signal = waiter.signal;
    if (!open) return new Promise(() => undefined);
    handOver({ kind: 'relay' });
    return Promise.resolve('relay');
  });
  await Promise.resolve();
  return { ...made, departure, signal: signal as AbortSignal | null };
}

/** Every way in which a worker ends. */
const ENDS: Record<string, (made: ReturnType<typeof vmIn>) => void> = {
  'the guest powers off': ({ say }) => say({ type: 'ended', reason: 'The guest powered off.', orderly: true }),
  'the guest panics': ({ say }) => say({ type: 'ended', reason: 'The guest panicked.', orderly: false }),
  'the VM fails': ({ say }) => say({ type: 'failed', reason: 'The room has forgotten this PC.' }),
  'its script throws': ({ worker }) => worker.onerror?.({ message: 'boom', preventDefault: () => undefined }),
  'it says what cannot be read': ({ worker }) => worker.onmessageerror?.(),
  'the tab closes': ({ vm }) => vm.remove('The tab that ran it was closed.'),
};

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

  describe.each(Object.entries(ENDS))('when %s', (_what, end) => {
    it.each([false, true])('settles a move whose link is open: %s', async (open) => {
      const made = await departingVm(open);
      end(made);
      expect(await made.departure.done).toMatchObject({ id: MOVE, outcome: 'failed', cause: 'vm-ended', reason: expect.stringMatching(/\.$/) as string });
      expect(made.vm.state.kind).toBe('gone');
      expect(made.signal?.aborted).toBe(true);
      expect(made.worker.terminated).toBe(true);
      expect(made.heard.filter((event) => event.startsWith('ended'))).toHaveLength(2);
    });

    it('says why a VM that starts or arrives will not run', async () => {
      for (const state of [
        { kind: 'starting', identity: IDENTITY, epoch: EPOCH },
        { kind: 'arriving', migrationId: MOVE, from: A },
      ] as const) {
        const made = vmIn(state);
        end(made);
        expect(await made.vm.whenHere).toMatch(/\.$/);
        expect(made.vm.state.kind).toBe('gone');
      }
    });
  });

  it('reports a move as completed if its worker ended after the target had taken the VM over', async () => {
    const { departure, say } = await departingVm(true, true);
    say({ type: 'progress', progress: { ...PROGRESS, phase: 'commit' } });
    say({ type: 'failed', reason: 'boom' });
    expect(await departure.done).toMatchObject({ outcome: 'completed', bytesOnWire: 7 });
  });

  it('cancels a move of which its worker knows nothing yet, at once', async () => {
    const { vm, departure, signal, worker } = await departingVm(false);
    departure.cancel();
    expect(await departure.done).toMatchObject({ outcome: 'cancelled', cause: 'cancelled' });
    expect(vm.state.kind).toBe('running');
    expect(signal?.aborted).toBe(true);
    expect(worker.orders).not.toContain('cancel');
  });

  it('hands a wish to cancel to the worker that runs the move, whose report is the answer', async () => {
    const { departure, worker, say, vm } = await departingVm(true);
    departure.cancel();
    departure.cancel();
    expect(worker.orders).toContain('cancel');
    const report = { ...departure.report('cancelled', 'The migration was cancelled.') };
    say({ type: 'report', report, guestEnd: null, epoch: 3 });
    expect(await departure.done).toBe(report);
    expect(vm.state).toMatchObject({ kind: 'running', epoch: 3 });
  });

  it('tells the worker that runs the move when the target has left, and of no other host', async () => {
    const { departure, worker } = await departingVm(true);
    departure.hostLeft(A);
    expect(worker.orders).not.toContain('target-left');
    departure.hostLeft(departure.order.to);
    expect(worker.orders).toContain('target-left');
  });

  it('runs on if the browser could not hand the order to move to its worker', async () => {
    const { departure, say, vm } = await departingVm(true);
    say({ type: 'unreadable' });
    expect(await departure.done).toMatchObject({ outcome: 'failed', cause: 'link-failed' });
    expect(vm.state.kind).toBe('running');
  });
});
