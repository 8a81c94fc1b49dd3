/**
 * TCP port forwards from the host machine into the guests. A forward belongs to a VM and stays for the VM's life,
 * whichever tab runs it. The client's connection is accepted first, then the guest's opened; if the guest refuses, the
 * client is reset.
 */
import type { GatewayCounters } from './gateway-counters.ts';
import type { HostListener, HostNetwork, HostSocket } from './host-network.ts';
import type { Guest } from './leases.ts';
import { Splice } from './splice.ts';
import type { TcpConnection } from './tcp/tcp-connection.ts';
import type { TcpHandlers } from './tcp/types.ts';
import { MAX_CONNECTIONS_PER_VM, MAX_FORWARDS_PER_VM } from '../limits/server-limits.ts';

export interface Forward {
  readonly vmId: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

export interface ForwardRequest {
  readonly vmId: string;
  /** 0: any free port. */
  readonly hostPort: number;
  readonly guestPort: number;
}

/** A forward could not be made; the message says why and what to do. */
export class ForwardError extends Error {
  override readonly name = 'ForwardError';
}

export interface PortForwardsOptions {
  readonly network: HostNetwork;
  /** Where the host ports listen. */
  readonly address: string;
  readonly counters: GatewayCounters;
  readonly guest: (vmId: string) => Guest | undefined;
  readonly connect: (guestIp: number, guestPort: number, handlers: TcpHandlers) => TcpConnection | null;
}

interface OpenForward extends Forward {
  readonly listener: HostListener;
}

function checkPort(port: number, least: number, what: string): void {
  if (!Number.isInteger(port) || port < least || port > 65_535) throw new ForwardError(`${what} must be a number from ${least} to 65535, not ${port}`);
}

export class PortForwards {
  private readonly options: PortForwardsOptions;
  private readonly open = new Map<number, OpenForward>();
  private readonly connections = new Map<string, number>();
  private disposed = false;

  constructor(options: PortForwardsOptions) {
    this.options = options;
  }

  /** Rejects with ForwardError: no such VM, port taken, too many. */
  async add({ vmId, hostPort, guestPort }: ForwardRequest): Promise<Forward> {
    checkPort(hostPort, 0, 'The host port');
    checkPort(guestPort, 1, 'The guest port');
    if (this.options.guest(vmId) === undefined) throw new ForwardError('There is no such VM to forward a port to');
    if (this.of(vmId).length >= MAX_FORWARDS_PER_VM) throw new ForwardError(`This VM has ${MAX_FORWARDS_PER_VM} forwards already: remove one first`);
    const listener = await this.listen(vmId, hostPort, guestPort);
    const gone = this.disposed || this.options.guest(vmId) === undefined;
    if (gone) {
      await listener.close();
      throw new ForwardError('This VM ended while its port was being opened');
    }
    const forward: OpenForward = { vmId, hostPort: listener.port, guestPort, listener };
    this.open.set(forward.hostPort, forward);
    return { vmId, hostPort: forward.hostPort, guestPort };
  }

  /** Stops listening and drops its connections. False if there is no such forward. */
  async remove(hostPort: number): Promise<boolean> {
    const forward = this.open.get(hostPort);
    if (forward === undefined) return false;
    this.open.delete(hostPort);
    await forward.listener.close();
    return true;
  }

  async removeAllOf(vmId: string): Promise<void> {
    await Promise.all(this.of(vmId).map((forward) => this.remove(forward.hostPort)));
  }

  /** All, or those of one VM, by guest port. */
  of(vmId?: string): Forward[] {
    return [...this.open.values()]
      .filter((forward) => vmId === undefined || forward.vmId === vmId)
      .map((forward) => ({ vmId: forward.vmId, hostPort: forward.hostPort, guestPort: forward.guestPort }))
      .sort((a, b) => a.guestPort - b.guestPort || a.hostPort - b.hostPort);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    await Promise.all([...this.open.keys()].map((hostPort) => this.remove(hostPort)));
  }

  private async listen(vmId: string, hostPort: number, guestPort: number): Promise<HostListener> {
    try {
      return await this.options.network.listen(this.options.address, hostPort, (socket) => this.accept(vmId, guestPort, socket));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      if (code === 'EADDRINUSE') throw new ForwardError(`Port ${hostPort} of the host is taken: choose another, or 0 for any free one`, { cause: error });
      if (code === 'EACCES') throw new ForwardError(`Port ${hostPort} of the host needs root: choose one above 1023`, { cause: error });
      throw new ForwardError(`Port ${hostPort} of the host cannot be opened (${code})`, { cause: error });
    }
  }

  private accept(vmId: string, guestPort: number, socket: HostSocket): void {
    const { counters, guest, connect } = this.options;
    const lease = guest(vmId);
    const count = this.connections.get(vmId) ?? 0;
    if (lease === undefined || count >= MAX_CONNECTIONS_PER_VM) {
      counters.add('forward-too-many');
      socket.reset();
      return;
    }
    const over = (): void => {
      const left = (this.connections.get(vmId) ?? 1) - 1;
      if (left === 0) this.connections.delete(vmId);
      else this.connections.set(vmId, left);
    };
    const connection = connect(lease.ip, guestPort, {
      onEstablished: () => {
        if (connection !== null) new Splice(connection, socket, over);
      },
      onReadable: () => undefined,
      onWritable: () => undefined,
      onClosed: (reason) => {
        // 'aborted': the client left first.
        if (reason !== 'aborted') counters.add('forward-refused');
        socket.reset();
        over();
      },
    });
    if (connection === null) {
      counters.add('forward-too-many');
      socket.reset();
      return;
    }
    this.connections.set(vmId, count + 1);
    counters.add('forward-opened');
    // Until the guest answers, only the client's leaving matters.
    socket.handlers = { onConnect: () => undefined, onData: () => undefined, onEnd: () => undefined, onClose: () => connection.abort() };
  }
}
