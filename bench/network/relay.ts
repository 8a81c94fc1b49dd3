/** The relay by itself: frames a second and latency between two ports of a room, memory of idle ports. Real WebSockets on loopback. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pollFor } from '../../e2e/harness/poll-for.ts';
import { connectHost } from '../../src/net-relay/client/host-client.ts';
import type { PortNic } from '../../src/net-relay/client/inbound-queue.ts';
import { attachOwner } from '../../src/net-relay/client/port-client.ts';
import type { CreatedVm } from '../../src/net-relay/protocol/relay-protocol.ts';
import { openSocket } from '../../src/net-relay/testing/relay-harness.ts';
import { DisposableBag, disposable, type Disposable } from '../../src/shared/disposable.ts';
import { Emitter } from '../../src/shared/emitter.ts';
import type { HostId, LeaseEpoch, RoomName, VmId } from '../../src/shared/ids.ts';
import { median, percentile } from '../statistics.ts';
import type { RelayMemory, RelayReady } from './relay-process.ts';
import { udpFrame } from './udp-frame.ts';

const MEBIBYTE = 1024 * 1024;
/** Less than a port's burst (MAX_FRAME_BURST), so that we measure the relay's own speed, not a port's rate limit. */
const FRAMES_A_RUN = 20_000;
/** Time until a port's full burst is available again. */
const REFILL_MS = 600;
/** Frames in flight at a time; a guest's TCP has as many. */
const WINDOW = 256;
const LARGE_BYTES = 1514;
const SMALL_BYTES = 98;
const LATENCY_FRAMES = 2000;
const NUMBER_AT = 42;
const STALL_MS = 10_000;
/** Fewer than a host may run. */
const PORTS_A_HOST = 25;
const PORTS_A_ROOM = 100;
/** Time for the first heartbeats, the gateway's first pings, and for freeing what they used. */
const SETTLE_MS = 3000;

/** A card that does nothing but count. */
class CountingCard implements PortNic {
  received: (frame: Uint8Array) => void = () => undefined;
  private readonly out = new Emitter<Uint8Array>();

  deliver(frame: Uint8Array): boolean {
    this.received(frame);
    return true;
  }

  onReady(): Disposable {
    return disposable(() => undefined);
  }

  onFrame(listener: (frame: Uint8Array) => void): Disposable {
    return this.out.on(listener);
  }

  send(frame: Uint8Array): void {
    this.out.emit(frame);
  }
}

interface RelayUnderTest extends AsyncDisposable {
  readonly ready: RelayReady;
  memory(): Promise<RelayMemory>;
}

async function startRelay(): Promise<RelayUnderTest> {
  const child = fork(fileURLToPath(new URL('relay-process.ts', import.meta.url)), { execArgv: ['--expose-gc', '--import', 'tsx'] });
  const ended = once(child, 'exit');
  const answer = async (): Promise<unknown> => {
    const [message] = (await Promise.race([
      once(child, 'message'),
      ended.then(() => {
        throw new Error('The relay process ended.');
      }),
    ])) as [unknown];
    return message;
  };
  const ready = (await answer()) as RelayReady;
  return {
    ready,
    memory() {
      child.send('measure');
      return answer() as Promise<RelayMemory>;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

interface OpenPort {
  readonly card: CountingCard;
  readonly vm: CreatedVm;
}

/** A host of a room with so many VMs, each with its port attached. */
async function openHost(relay: RelayReady, room: string, key: string, id: string, ports: number, bag: DisposableBag): Promise<OpenPort[]> {
  const credentials = { room: room as RoomName, key, hostId: id as HostId, hostToken: `token-of-${id}-0123456789` };
  const client = bag.add(connectHost({ url: `${relay.url}/host`, ...credentials, name: id, openSocket }));
  await pollFor(`${id} to be in its room`, () => client.state.kind === 'connected');
  const open: OpenPort[] = [];
  for (let count = 0; count < ports; count++) {
    const vm = await client.createVm({ memoryBytes: 128 * MEBIBYTE });
    const card = new CountingCard();
    const port = bag.add(attachOwner({ url: `${relay.url}/port`, credentials, openSocket, vmId: vm.vmId as VmId, epoch: vm.epoch as LeaseEpoch, nic: card }));
    await pollFor(`the port of ${vm.name} to be attached`, () => port.state.kind === 'connected');
    open.push({ card, vm });
  }
  return open;
}

export interface RelaySpeed {
  /** One figure a run. */
  readonly framesPerSecond: number[];
  readonly megabytesPerSecond: number[];
  /** From one port to the other, milliseconds. */
  readonly p50Ms: number[];
  readonly p99Ms: number[];
}

export interface RelaySpeeds {
  readonly full: RelaySpeed;
  readonly single: RelaySpeed;
}

/** Frames from one port of a room to another, as fast as they pass (with WINDOW in flight), and one at a time. */
export async function relaySpeeds(runs: number): Promise<RelaySpeeds> {
  await using relay = await startRelay();
  const bag = new DisposableBag();
  try {
    const [from] = await openHost(relay.ready, 'default', relay.ready.key, 'sender', 1, bag);
    const [to] = await openHost(relay.ready, 'default', relay.ready.key, 'receiver', 1, bag);
    if (from === undefined || to === undefined) throw new Error('There are no ports.');
    const measure = async (bytes: number, frames: number, window: number): Promise<RelaySpeed> => {
      const speed: RelaySpeed = { framesPerSecond: [], megabytesPerSecond: [], p50Ms: [], p99Ms: [] };
      for (let run = -1; run < runs; run++) {
        const { ms, latencies } = await sendFrames(from, to, bytes, frames, window);
        await sleep(REFILL_MS);
        if (run < 0) continue;
        speed.framesPerSecond.push(frames / (ms / 1000));
        speed.megabytesPerSecond.push((frames * bytes) / 1_000_000 / (ms / 1000));
        speed.p50Ms.push(median(latencies));
        speed.p99Ms.push(percentile(latencies, 99));
      }
      return speed;
    };
    return { full: await measure(LARGE_BYTES, FRAMES_A_RUN, WINDOW), single: await measure(SMALL_BYTES, LATENCY_FRAMES, 1) };
  } finally {
    bag.dispose();
  }
}

/** Rejects if a frame is lost: none may be lost here. */
async function sendFrames(from: OpenPort, to: OpenPort, bytes: number, frames: number, window: number): Promise<{ ms: number; latencies: number[] }> {
  const template = udpFrame({ from: { ...from.vm, port: 5001 }, to: { ...to.vm, port: 5001 }, bytes });
  const sentAt = new Float64Array(frames);
  const latencies: number[] = [];
  let sent = 0;
  const send = (): void => {
    while (sent < frames && sent - latencies.length < window) {
      const frame = template.slice();
      new DataView(frame.buffer).setUint32(NUMBER_AT, sent);
      sentAt[sent++] = performance.now();
      from.card.send(frame);
    }
  };
  const begun = performance.now();
  await new Promise<void>((resolve, reject) => {
    let seen = 0;
    const watch = setInterval(() => {
      if (latencies.length > seen) seen = latencies.length;
      else {
        clearInterval(watch);
        reject(new Error(`Of ${sent} frames ${latencies.length} arrived, and no more within ${STALL_MS / 1000} s.`));
      }
    }, STALL_MS);
    to.card.received = (frame) => {
      // The gateway asks every VM for its address, too.
      if (frame.length !== bytes) return;
      const number = new DataView(frame.buffer, frame.byteOffset).getUint32(NUMBER_AT);
      latencies.push(performance.now() - (sentAt[number] ?? 0));
      if (latencies.length === frames) {
        clearInterval(watch);
        resolve();
      } else send();
    };
    send();
  }).finally(() => {
    to.card.received = () => undefined;
  });
  return { ms: performance.now() - begun, latencies };
}

export interface PortMemory {
  readonly ports: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/** How much the relay's process has grown at each of these numbers of idle ports, compared with no ports (but an open room). */
export async function idlePortMemory(steps: readonly number[]): Promise<PortMemory[]> {
  await using relay = await startRelay();
  const bag = new DisposableBag();
  try {
    // One-time costs of the first port (code is loaded and compiled) count for no port.
    const warm = new DisposableBag();
    await openHost(relay.ready, 'default', relay.ready.key, 'warm', 1, warm);
    warm.dispose();
    await sleep(SETTLE_MS);
    const before = await relay.memory();
    const figures: PortMemory[] = [];
    let open = 0;
    for (const wanted of steps) {
      while (open < wanted) {
        const count = Math.min(PORTS_A_HOST, wanted - open, PORTS_A_ROOM - (open % PORTS_A_ROOM));
        const room = `idle-${Math.floor(open / PORTS_A_ROOM)}`;
        await openHost(relay.ready, room, `key-of-${room}-0123456789`, `host-${open}`, count, bag);
        open += count;
      }
      await sleep(SETTLE_MS);
      const now = await relay.memory();
      if (now.sockets < open) throw new Error(`Of ${open} ports the relay has only ${now.sockets} sockets open.`);
      figures.push({ ports: open, rssBytes: now.rssBytes - before.rssBytes, heapBytes: now.heapBytes - before.heapBytes });
    }
    return figures;
  } finally {
    bag.dispose();
  }
}
