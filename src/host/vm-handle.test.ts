import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LinkEnds } from '../link/lane-end.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { FromVmWorker } from '../vm-host/vm-worker-messages.ts';
import { VmHandle } from './vm-handle.ts';

class FakeWorker {
  onmessage: ((event: { data: FromVmWorker }) => void) | null = null;
  onerror: ((event: { message: string; preventDefault: () => void }) => void) | null = null;
  onmessageerror: (() => void) | null = null;
  readonly posted: { readonly type: string; readonly transferred: readonly unknown[] }[] = [];
  terminated = 0;
  postMessage = ({ type }: { type: string }, transfer: readonly unknown[]): void => void this.posted.push({ type, transferred: transfer });
  terminate = (): void => {
    this.terminated++;
  };
}

let worker: FakeWorker;
let handle: VmHandle;
let heard: FromVmWorker[];
/** Locks that are held, by name. */
let locks: Set<string>;
beforeEach(() => {
  locks = new Set();
  vi.stubGlobal('navigator', {
    locks: {
      request: async (name: string, held: () => Promise<void>) => {
        locks.add(name);
        await held();
        locks.delete(name);
      },
    },
  });
  worker = new FakeWorker();
  handle = new VmHandle(() => worker as unknown as Worker);
  heard = [];
  handle.messages.on((message) => void heard.push(message));
});
afterEach(() => void vi.unstubAllGlobals());

it("keeps the browser from freezing the tab only while it is a VM's", async () => {
  expect(locks.size).toBe(0);
  handle.isFor('vm-1' as VmId);
  expect([...locks]).toEqual(['tabmotion-vm-vm-1']);
  handle.dispose();
  await Promise.resolve();
  await Promise.resolve();
  expect(locks.size).toBe(0);
});

it('needs no locks where the browser has none', () => {
  vi.stubGlobal('navigator', {});
  handle.isFor('vm-1' as VmId);
  handle.dispose();
  expect(worker.terminated).toBe(1);
});

it('tells every end of a worker as one failure with a sentence', () => {
  worker.onmessage?.({ data: { type: 'prepared' } });
  let prevented = false;
  worker.onerror?.({ message: 'boom', preventDefault: () => (prevented = true) });
  worker.onerror?.({ message: '', preventDefault: () => undefined });
  worker.onmessageerror?.();
  expect(prevented).toBe(true);
  expect(heard.map((message) => (message.type === 'failed' ? message.reason : message.type))).toEqual([
    'prepared',
    "The VM's worker stopped: boom. Reload the page to start again.",
    "The VM's worker stopped: its script could not be loaded. Reload the page to start again.",
    "The VM's worker said something this page could not read. Reload the page to start again.",
  ]);
});

it("hands over what only one side can have: the canvas, and the ends of a link that is not the relay's", () => {
  const canvas = {} as OffscreenCanvas;
  const { port1, port2 } = new MessageChannel();
  handle.post({ type: 'screen', canvas });
  handle.post({ type: 'screen', canvas: null });
  handle.post({ type: 'receive', migrationId: 'm1' as MigrationId, from: 'a' as HostId, ends: { kind: 'relay' } });
  handle.post({ type: 'cancel' });
  expect(worker.posted.map(({ type, transferred }) => [type, transferred.length])).toEqual([
    ['screen', 1],
    ['screen', 0],
    ['receive', 0],
    ['cancel', 0],
  ]);
  const ends = { kind: 'local', control: { type: 'port', port: port1 }, bulk: { type: 'port', port: port2 } } as unknown as LinkEnds;
  handle.post({ type: 'next-link', attempt: 1, ends });
  expect(worker.posted.at(-1)).toEqual({ type: 'next-link', transferred: [port1, port2] });
  port1.close();
});

it('is silent once it is disposed of, and ends its worker once', () => {
  handle.dispose();
  handle.dispose();
  handle.post({ type: 'cancel' });
  worker.onmessage?.({ data: { type: 'prepared' } });
  expect([worker.posted, worker.terminated, heard]).toEqual([[], 1, []]);
});
