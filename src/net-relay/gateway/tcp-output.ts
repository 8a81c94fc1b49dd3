/** Connects the TCP stack to the output path: a segment is built once, in the frame that carries it. */
import type { Clock } from '../../shared/clock.ts';
import type { GatewayCounters } from './gateway-counters.ts';
import { MTU } from './ethernet.ts';
import { IPV4_HEADER_BYTES, IpProtocol } from './ipv4.ts';
import { PAYLOAD_AT, type PacketOutput } from './packet-output.ts';
import { optionBytes, TCP_HEADER_BYTES, writeTcpHeader } from './tcp/segment.ts';
import { TcpStack, type TcpStackOptions } from './tcp/stack.ts';

export interface TcpStackParts {
  readonly clock: Clock;
  readonly random32: () => number;
  readonly output: PacketOutput;
  readonly counters: GatewayCounters;
  readonly onSyn: TcpStackOptions['onSyn'];
}

export function createTcpStack({ clock, random32, output, counters, onSyn }: TcpStackParts): TcpStack {
  return new TcpStack({
    clock,
    random32,
    onSyn,
    mss: MTU - IPV4_HEADER_BYTES - TCP_HEADER_BYTES,
    count: (event) => counters.add(event),
    send({ localIp, remoteIp }, header, ring, offset, length) {
      const headerBytes = TCP_HEADER_BYTES + optionBytes(header.options);
      output.sendIpv4(localIp, remoteIp, IpProtocol.tcp, headerBytes + length, (frame, view) => {
        ring?.copyTo(frame, PAYLOAD_AT + headerBytes, offset, length);
        writeTcpHeader(view, PAYLOAD_AT, header, length, localIp, remoteIp);
      });
    },
  });
}
