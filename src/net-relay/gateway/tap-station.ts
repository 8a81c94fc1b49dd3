/**
 * A TAP device of the Linux kernel as a station on the room's switch, so that the machine's own ping, curl and ssh reach
 * the guests by their IP. No native addon: `socat` owns the device, and passes whole frames to and from us as UDP
 * datagrams over loopback. Linux only, and making the device needs CAP_NET_ADMIN (root).
 *
 * The one-line set-up, if the server itself does not run as root (TapStation.command says it with its ports):
 *
 *   sudo socat -b 2048 TUN:10.86.0.254/24,tun-type=tap,tun-name=tabmotion0,iff-no-pi,iff-up UDP4:127.0.0.1:P,bind=127.0.0.1:Q
 *
 * Frames are bounded by the sockets' buffers and lost beyond them, as on a real wire.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { MAX_FRAME_BYTES } from '../protocol/relay-protocol.ts';
import type { Station } from '../lan/station.ts';

/** Some thousand full frames; the system cuts it to its own limit (net.core.rmem_max). */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** socat starts within some ms; only a name lookup could delay it. */
const START_LIMIT_MS = 10_000;
const LOOPBACK = '127.0.0.1';
/** A name that Linux accepts for a network device, and that no shell interprets. */
export const DEVICE_NAME = /^[A-Za-z0-9_-]{1,15}$/;

export interface TapStationOptions {
  /** Hands a frame to the switch. */
  readonly send: (frame: Uint8Array) => void;
  /** Name of the device, at most 15 characters. */
  readonly device: string;
  /** The machine's own address on the room's LAN and its prefix length, e.g. `10.86.0.254/24`; null: set it elsewhere. */
  readonly address: string | null;
  /** False: somebody else runs `command`. */
  readonly spawn: boolean;
  readonly log?: (line: string) => void;
}

export interface TapStation extends Station {
  /** What makes the device, for a person to run. */
  readonly command: readonly string[];
  /** Frames from and to the device. */
  stats(): { readonly in: number; readonly out: number; readonly foreign: number };
  /** Resolves once the device is gone (if it was ours). */
  dispose(): Promise<void>;
}

/** The device could not be made; the message says why and what to do. */
class TapError extends Error {
  override readonly name = 'TapError';
}

function bind(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: 'udp4', recvBufferSize: SOCKET_BUFFER_BYTES, sendBufferSize: SOCKET_BUFFER_BYTES });
    socket.once('error', reject);
    socket.bind(port, LOOPBACK, () => {
      socket.removeListener('error', reject);
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** A port nobody uses: bound once to find it, then left to socat. */
async function freePort(): Promise<number> {
  const probe = await bind(0);
  const { port } = probe.address();
  await new Promise<void>((closed) => probe.close(closed));
  return port;
}

/** Resolves once socat says that it transfers data. */
function startSocat(command: readonly string[]): Promise<ChildProcess> {
  const [program = 'socat', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['-d', '-d', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      // Later lines are of no interest, and nothing may grow.
      said = (said + text).slice(-2000);
      if (!said.includes('starting data transfer loop')) return;
      clearTimeout(limit);
      resolve(child);
    });
    const fail = (sentence: string): void => {
      child.kill('SIGKILL');
      reject(new TapError(sentence));
    };
    const limit = setTimeout(() => fail(`socat made no TAP device within ${START_LIMIT_MS / 1000} s. It said: ${said.trim()}`), START_LIMIT_MS);
    child.once('error', (error) => fail(`socat cannot be started (${error.message}): install it with "apt-get install socat"`));
    child.once('exit', () => fail(`The TAP device could not be made; it needs Linux and root. socat said: ${said.trim()}`));
    for (const end of ['error', 'exit']) child.once(end, () => clearTimeout(limit));
  });
}

/** Rejects with TapError. */
export async function createTapStation(options: TapStationOptions): Promise<TapStation> {
  if (!DEVICE_NAME.test(options.device)) throw new TapError(`"${options.device}" is no name for a network device: 1 to 15 letters, digits, _ or -`);
  const socket = await bind(0);
  const { port } = socket.address();
  const devicePort = await freePort();
  const device = `TUN${options.address === null ? '' : `:${options.address}`},tun-type=tap,tun-name=${options.device},iff-no-pi${options.address === null ? '' : ',iff-up'}`;
  const command = ['socat', '-b', '2048', device, `UDP4:${LOOPBACK}:${port},bind=${LOOPBACK}:${devicePort},rcvbuf=${SOCKET_BUFFER_BYTES}`];
  const counts = { in: 0, out: 0, foreign: 0 };
  socket.on('message', (data, from) => {
    // Any process on this machine may send to our port; only the device's owner has the other port.
    if (from.port !== devicePort || data.length > MAX_FRAME_BYTES) {
      counts.foreign++;
      return;
    }
    counts.in++;
    options.send(data);
  });
  let child: ChildProcess | null = null;
  const endChild = (): void => void child?.kill();
  if (options.spawn) {
    try {
      child = await startSocat(command);
    } catch (error) {
      socket.close();
      throw error;
    }
    child.once('exit', () => options.log?.(`The TAP device ${options.device} is gone: socat ended`));
    // If this process ends without dispose(), the device must not stay.
    process.once('exit', endChild);
  }
  let open = true;
  return {
    command,
    stats: () => ({ ...counts }),
    receive(frame) {
      if (!open) return;
      counts.out++;
      socket.send(frame, devicePort, LOOPBACK, () => undefined);
    },
    async dispose() {
      if (!open) return;
      open = false;
      socket.close();
      process.removeListener('exit', endChild);
      const owner = child;
      if (owner === null || owner.exitCode !== null || owner.signalCode !== null) return;
      owner.removeAllListeners('exit');
      const gone = new Promise((resolve) => owner.once('exit', resolve));
      owner.kill();
      await gone;
    },
  };
}
