/**
 * A VM's worker inside a test's process: the real code of a worker (vm-host.ts) with a model machine. Messages between
 * the worker and its page take time and keep their order; when the worker ends, its sockets break and it does nothing
 * any more.
 */
import type { BaseSnapshot } from '../../emulator-bridge/base-snapshot.ts';
import { runLengthCompressor, testPageHash } from '../../migration/testing/codecs.ts';
import type { SeededRandom } from '../../migration/testing/seeded-random.ts';
import type { Action, Host } from '../../migration/testing/world.ts';
import type { OpenSocket } from '../../net-relay/client/open-socket.ts';
import { runVmHost, type VmHostPlatform } from '../../vm-host/vm-host.ts';
import type { FromVmWorker, ToVmWorker } from '../../vm-host/vm-worker-messages.ts';
import { ModelMachine } from '../../vm-host/testing/model-machine.ts';

/** A model machine begins without one. */
export const NO_BASE = {} as BaseSnapshot;

export interface ModelWorkerOptions {
  /** The page's computer: the page freezes or dies with it. */
  readonly page: Host;
  /** The worker's own thread, on the same computer. */
  readonly thread: Host;
  readonly random: SeededRandom;
  readonly openSocket: OpenSocket;
  readonly loadGuest: VmHostPlatform['loadGuest'];
  /** Its sockets break. */
  readonly ended: () => void;
}

export class ModelWorker {
  onmessage: ((event: { data: FromVmWorker }) => void) | null = null;
  onerror: ((event: { message: string; preventDefault: () => void }) => void) | null = null;
  onmessageerror: (() => void) | null = null;
  /** The id of the VM that the worker runs or has run; null before it is known. */
  vmId: string | null = null;
  readonly machines: ModelMachine[] = [];
  private readonly options: ModelWorkerOptions;
  private readonly toWorker: ToVmWorker[] = [];
  private readonly toPage: FromVmWorker[] = [];
  private hears: (message: ToVmWorker) => void = () => undefined;
  private hasEnded = false;

  constructor(options: ModelWorkerOptions) {
    this.options = options;
    const { page, thread, random, openSocket, loadGuest } = options;
    thread.addSource(() => this.arrival('heard by the worker', this.toWorker, (message) => this.hears(message)));
    page.addSource(() => this.arrival('said by a worker', this.toPage, (data) => this.onmessage?.({ data })));
    runVmHost({
      post: (message) => {
        if (message.type === 'arrived') this.vmId = message.vm.vmId;
        if (!this.hasEnded) this.toPage.push(message);
      },
      listen: (heard) => {
        this.hears = heard;
      },
      openSocket,
      clock: thread.clock,
      nextTask: thread.nextTask,
      loadGuest,
      openGuest: (guest) => ({ pc: Promise.resolve(guest), base: Promise.resolve(NO_BASE), whole: Promise.resolve(guest) }),
      createMachine: async () => {
        await thread.whenPicked('build a machine');
        const machine = new ModelMachine(thread, random);
        this.machines.push(machine);
        return machine;
      },
      // It would only take time.
      rehearse: () => Promise.resolve(),
      createEngines: () => Promise.resolve({ compressor: runLengthCompressor, pageHash: testPageHash }),
    });
  }

  get thread(): Host {
    return this.options.thread;
  }

  /** The machine that executes, if one does. */
  get running(): ModelMachine | null {
    return this.hasEnded ? null : (this.machines.find((machine) => machine.running && !machine.discarded) ?? null);
  }

  postMessage(message: ToVmWorker): void {
    if (message.type === 'start') this.vmId = message.vm.vmId;
    if (!this.hasEnded) this.toWorker.push(message);
  }

  terminate(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.toPage.length = this.toWorker.length = 0;
    this.options.thread.kill();
    this.options.ended();
  }

  /** An exception that nobody caught. */
  crash(): void {
    if (this.hasEnded) return;
    this.terminate();
    this.options.page.defer('a worker has crashed', () => this.onerror?.({ message: 'boom', preventDefault: () => undefined }));
  }

  private arrival<T>(name: string, queue: T[], deliver: (message: T) => void): Action | null {
    const [first] = queue;
    if (first === undefined) return null;
    return {
      name,
      run: () => {
        queue.shift();
        deliver(first);
      },
    };
  }
}
