/**
 * TCP from guests to the outside, over ordinary sockets of the host machine. The guest's SYN is answered only when the
 * outside has answered: a refused connection is refused, an accepted one accepted.
 */
import type { GatewayCounters } from './gateway-counters.ts';
import type { HostNetwork } from './host-network.ts';
import type { OutboundPolicy } from './outbound-policy.ts';
import { Splice } from './splice.ts';
import type { TcpConnection } from './tcp/tcp-connection.ts';
import type { TcpEndpoints, TcpHandlers } from './tcp/types.ts';
import { MAX_OUTBOUND_CONNECTIONS_PER_VM } from '../limits/server-limits.ts';

export interface OutboundTcpOptions {
  readonly network: HostNetwork;
  /** Null: outbound is off. */
  readonly policy: OutboundPolicy | null;
  readonly counters: GatewayCounters;
  readonly gatewayIp: number;
  readonly isGuest: (ip: number) => boolean;
}

export class OutboundTcp {
  private readonly options: OutboundTcpOptions;
  private readonly connections = new Map<number, number>();

  constructor(options: OutboundTcpOptions) {
    this.options = options;
  }

  /** A guest's SYN. False: refuse it (the reason is counted). */
  onSyn(endpoints: TcpEndpoints, offer: (handlers: TcpHandlers) => TcpConnection): boolean {
    const { policy, counters, network, gatewayIp } = this.options;
    const { localIp, localPort, remoteIp } = endpoints;
    const count = this.connections.get(remoteIp) ?? 0;
    const verdict = this.options.isGuest(remoteIp) ? policy?.judge('tcp', localIp, localPort) : undefined;
    if (verdict?.allowed !== true) {
      // A closed port of the gateway itself needs no reason.
      if (localIp !== gatewayIp) counters.add(policy === null ? 'outbound-off' : (verdict?.why ?? 'outbound-not-allowed'));
      return false;
    }
    if (count >= MAX_OUTBOUND_CONNECTIONS_PER_VM) {
      counters.add('outbound-too-many');
      return false;
    }
    this.connections.set(remoteIp, count + 1);
    counters.add('outbound-opened');
    const over = (): void => {
      const left = (this.connections.get(remoteIp) ?? 1) - 1;
      if (left === 0) this.connections.delete(remoteIp);
      else this.connections.set(remoteIp, left);
    };
    const socket = network.connect(verdict.address, localPort);
    const connection = offer({
      onEstablished: () => new Splice(connection, socket, over),
      onReadable: () => undefined,
      onWritable: () => undefined,
      // The guest gave up before the outside answered.
      onClosed: () => socket.reset(),
    });
    socket.handlers = {
      onConnect: () => connection.accept(),
      onData: () => undefined,
      onEnd: () => undefined,
      onClose: () => {
        counters.add('outbound-failed');
        if (connection.state === 'offered') connection.refuse();
        else connection.abort();
        over();
      },
    };
    return true;
  }
}
