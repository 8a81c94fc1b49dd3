import { EtherType, parseEthernet } from '../ethernet.ts';
import { IpProtocol, parseIpv4 } from '../ipv4.ts';
import { parseTcp, TcpFlag } from '../tcp/segment.ts';
import type { LossyWire } from './lossy-wire.ts';

/**
 * Counts what both directions of a wire carry for one closed port: segments that ask for a connection, and segments
 * that reset one. In the end there are as many resets as requests, and at least one of each: the first request was
 * answered. Counters of a whole stack cannot show this: an earlier connection may repeat its last segments at the same
 * time, and on a slow machine the same request is sent twice.
 */
export function watchRefusals(wires: readonly LossyWire[], port: number): { readonly asked: number; readonly refused: number } {
  const seen = { asked: 0, refused: 0 };
  const look = (frame: Uint8Array): void => {
    const ethernet = parseEthernet(frame);
    if (typeof ethernet === 'string' || ethernet.etherType !== EtherType.ipv4) return;
    const packet = parseIpv4(ethernet.payload);
    if (typeof packet === 'string' || packet.protocol !== IpProtocol.tcp) return;
    const segment = parseTcp(packet.payload, packet.source, packet.destination);
    if (typeof segment === 'string') return;
    if (segment.destinationPort === port && segment.flags === TcpFlag.syn) seen.asked++;
    if (segment.sourcePort === port && (segment.flags & TcpFlag.rst) !== 0) seen.refused++;
  };
  for (const wire of wires) wire.onSent = look;
  return seen;
}
