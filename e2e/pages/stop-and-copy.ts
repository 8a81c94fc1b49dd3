/**
 * What the benchmark compares with: the same guest, moved as v86 alone can do it. The source stops, packs everything with
 * `save_state`, sends it over the same kind of PeerJS link, and the target unpacks it with `restore_state` and runs.
 * Driven by bench/stop-and-copy.ts; only in the test build.
 */
import { loadGuestSet, openGuestDisk } from '../../src/emulator-bridge/guest-artefacts.ts';
import { OverlayDisk } from '../../src/emulator-bridge/overlay-disk.ts';
import { startV86 } from '../../src/emulator-bridge/start-v86.ts';
import { openDataChannelLane } from '../../src/link/data-channel-lane.ts';
import { PeerConnections } from '../../src/link/peer-connections.ts';
import { PeerSignalling } from '../../src/link/peer-signalling.ts';
import type { Lane } from '../../src/migration/ports.ts';
import type { HostId } from '../../src/shared/ids.ts';
import { systemClock } from '../../src/shared/system-clock.ts';

/** As large as the product's own messages. */
const MESSAGE_BYTES = 64 * 1024;
const FIRST_CHANNEL = 16;

/** v86's public interface, as far as it is needed here. */
interface PublicV86 {
  run(): Promise<void>;
  stop(): Promise<void>;
  save_state(): Promise<ArrayBuffer>;
  restore_state(state: ArrayBuffer): Promise<void>;
  serial0_send(text: string): void;
  serial_send_bytes(port: number, bytes: Uint8Array): void;
  add_listener(name: string, listener: (value: number) => void): void;
}

export interface StopAndCopyFigures {
  readonly pauseMs: number;
  readonly bytes: number;
}

declare global {
  interface Window {
    stopAndCopy: {
      prepare(self: string, other: string, dials: boolean): Promise<void>;
      boot(): Promise<void>;
      type(text: string): void;
      text(): string;
      /** Resolves with the figures once the target runs. */
      send(): Promise<StopAndCopyFigures>;
    };
  }
}

const base = new URL('/', location.href);
let emulator: PublicV86;
let control: Lane;
let bulk: Lane;
let printed = '';

window.stopAndCopy = {
  async prepare(self, other, dials) {
    const set = await loadGuestSet({ manifestUrl: new URL('guest/manifest.json', base).href }).pc;
    const { instance } = await startV86({ ...set.parts, disk: openGuestDisk(set) }, new OverlayDisk(openGuestDisk(set)), () => undefined);
    emulator = instance as unknown as PublicV86;
    emulator.add_listener('serial0-output-byte', (byte) => {
      printed += String.fromCharCode(byte);
    });
    const signalling = new PeerSignalling(self as HostId, self, { host: base.hostname, port: Number(base.port), path: '/peerjs', secure: false }, systemClock);
    const connections = new PeerConnections(self as HostId, signalling, systemClock);
    await opened(connections, other as HostId, dials);
    const lanes = connections.createLanes(other as HostId, FIRST_CHANNEL);
    if (lanes === null) throw new Error('No WebRTC connection');
    control = openDataChannelLane(lanes.control);
    bulk = openDataChannelLane(lanes.bulk);
    receive();
  },
  async boot() {
    let heard = '';
    emulator.add_listener('serial1-output-byte', (byte) => {
      heard += String.fromCharCode(byte);
      // The guest starts no shell before it has its random seed (guest/AGENT.md).
      if (heard.endsWith('event ready\n')) emulator.serial_send_bytes(1, new TextEncoder().encode(`seed seed=${'5e'.repeat(64)}\n`));
    });
    await emulator.run();
  },
  type: (text) => emulator.serial0_send(text),
  text: () => printed,
  async send() {
    const running = new Promise<number>((resolve) => control.onMessage(() => resolve(performance.now())));
    const stopped = performance.now();
    await emulator.stop();
    const state = new Uint8Array(await emulator.save_state());
    for (let at = 0; at < state.length; at += MESSAGE_BYTES) {
      await bulk.writable();
      bulk.send(state.subarray(at, at + MESSAGE_BYTES));
    }
    bulk.send(new Uint8Array(0));
    return { pauseMs: (await running) - stopped, bytes: state.length };
  },
};

/** The target: an empty message ends the state. */
function receive(): void {
  const parts: Uint8Array[] = [];
  bulk.onMessage((message) => {
    if (message.length > 0) {
      parts.push(message);
      return;
    }
    const state = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      state.set(part, at);
      at += part.length;
    }
    void emulator
      .restore_state(state.buffer)
      .then(() => emulator.run())
      .then(() => control.send(Uint8Array.of(1)));
  });
}

function opened(connections: PeerConnections, other: HostId, dials: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    connections.changed.on((host) => {
      if (connections.state(host) === 'open') resolve();
      if (connections.state(host) === 'failed') reject(new Error('The WebRTC connection did not open'));
    });
    if (!dials) {
      connections.expect(other, 'benchmark');
      return;
    }
    connections.invite(other, 'benchmark');
    connections.expected(other, 'benchmark');
  });
}
