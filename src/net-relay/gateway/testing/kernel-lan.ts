/** A gateway and the Linux kernel as its guest, with a wire between them that a test may impair or hold. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import { disposable } from '../../../shared/disposable.ts';
import { GATEWAY_IP, GATEWAY_MAC, LAN_NETMASK } from '../../lan/lan.ts';
import { systemClock } from '../../../shared/system-clock.ts';
import { createGateway, type Gateway, type GatewayOptions } from '../gateway.ts';
import { createKernelGuest, KERNEL_IP, KERNEL_MAC, type KernelGuest } from './kernel-guest.ts';
import { LossyWire, type Impairment } from './lossy-wire.ts';

/** A wire of a test that does nothing to frames and takes no time. */
const DIRECT: Impairment = { drop: 0, duplicate: 0, reorder: 0, delayMs: 0, reorderMs: 0 };

export interface KernelLan {
  readonly gateway: Gateway;
  readonly guest: KernelGuest;
  readonly toGuest: LossyWire;
  readonly toGateway: LossyWire;
  /** Impairs both directions from now on; null: no more. */
  impair(impairment: Impairment | null): void;
  /** Frames to the guest wait from now on, as in a hold of the switch; call the result to deliver them, in order. */
  hold(): () => void;
  /** Connects to a guest's port through a forward of its own. */
  dial(guestPort: number): Promise<Socket>;
  dispose(): Promise<void>;
}

export async function createKernelLan(options: Partial<GatewayOptions> = {}, addressed = true): Promise<KernelLan> {
  const random = new SeededRandom(20_260_101);
  let held: Uint8Array[] | null = null;
  const toGateway = new LossyWire(systemClock, random, DIRECT, (frame) => gateway.receive(frame));
  const guest = await createKernelGuest((frame) => toGateway.send(frame), addressed);
  const toGuest = new LossyWire(systemClock, random, DIRECT, (frame) => {
    if (held === null) guest.station.receive(frame);
    else held.push(frame);
  });
  const gateway: Gateway = createGateway({
    mac: GATEWAY_MAC,
    ip: GATEWAY_IP,
    netmask: LAN_NETMASK,
    clock: systemClock,
    send: (frame) => toGuest.send(frame),
    leases: { all: () => [{ vmId: 'kernel', name: 'Kernel', mac: KERNEL_MAC, ip: KERNEL_IP }], onChange: () => disposable(() => undefined) },
    ...options,
  });
  const forwards = new Map<number, number>();
  return {
    gateway,
    guest,
    toGuest,
    toGateway,
    impair(impairment) {
      toGuest.impairment = impairment ?? DIRECT;
      toGateway.impairment = impairment ?? DIRECT;
    },
    hold() {
      held = [];
      return () => {
        const waiting = held ?? [];
        held = null;
        for (const frame of waiting) guest.station.receive(frame);
      };
    },
    async dial(guestPort) {
      const hostPort = forwards.get(guestPort) ?? (await gateway.addForward({ vmId: 'kernel', hostPort: 0, guestPort })).hostPort;
      forwards.set(guestPort, hostPort);
      const socket = connect({ host: '127.0.0.1', port: hostPort, allowHalfOpen: true });
      await new Promise((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
      return socket;
    },
    async dispose() {
      await gateway.dispose();
      await guest.dispose();
    },
  };
}

/** Everything a socket receives until it ends. Rejects with its error. */
export function collect(socket: Socket): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  return new Promise((resolve, reject) => {
    socket.on('data', (data: Buffer) => {
      bytes += data.length;
      hash.update(data);
    });
    socket.once('error', reject);
    socket.once('end', () => resolve({ bytes, sha256: hash.digest('hex') }));
  });
}

export function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** How a socket ends: its error's code, or 'end'. */
export function ending(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    socket.on('end', () => resolve('end'));
    socket.resume();
  });
}
