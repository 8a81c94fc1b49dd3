/** A network card whose guest answers the gateway's pings and takes everything else. */
import type { PortNic } from '../../src/net-relay/client/inbound-queue.ts';
import { disposable, type Disposable } from '../../src/shared/disposable.ts';
import { Emitter } from '../../src/shared/emitter.ts';

const ICMP_AT = 34;
const ECHO_REQUEST = 8;

export class EchoNic implements PortNic {
  private readonly out = new Emitter<Uint8Array>();

  deliver(frame: Uint8Array): boolean {
    const isEchoRequest = frame.length >= 42 && frame[12] === 8 && frame[13] === 0 && frame[14] === 0x45 && frame[23] === 1 && frame[ICMP_AT] === ECHO_REQUEST;
    if (isEchoRequest) this.out.emit(echoReply(frame));
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

/** The frame with source and destination swapped; the checksum rises by as much as the type falls (RFC 1624). */
function echoReply(frame: Uint8Array): Uint8Array {
  const reply = frame.slice();
  reply.set(frame.subarray(6, 12), 0);
  reply.set(frame.subarray(0, 6), 6);
  reply.set(frame.subarray(30, 34), 26);
  reply.set(frame.subarray(26, 30), 30);
  reply[ICMP_AT] = 0;
  const view = new DataView(reply.buffer);
  const sum = view.getUint16(ICMP_AT + 2) + ECHO_REQUEST * 256;
  view.setUint16(ICMP_AT + 2, (sum & 0xffff) + (sum >> 16));
  return reply;
}
