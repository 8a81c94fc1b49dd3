/** What a TCP connection tells its owner, and what it needs from the stack. */
import type { Clock } from '../../../shared/clock.ts';
import type { BufferBudget } from './buffer-budget.ts';
import type { ByteRing } from './byte-ring.ts';
import type { TcpHeader } from './segment.ts';

/** RFC 9293 §3.3.2; 'offered' is a passive open whose SYN the owner has not answered yet. */
export type TcpState =
  'offered' | 'syn-sent' | 'syn-received' | 'established' | 'fin-wait-1' | 'fin-wait-2' | 'close-wait' | 'closing' | 'last-ack' | 'time-wait' | 'closed';

/** 'done': both directions ended in order. 'aborted': by our side. */
export type TcpCloseReason = 'done' | 'refused' | 'reset' | 'timed-out' | 'aborted';

/** Called synchronously, while a segment or a deadline is handled. */
export interface TcpHandlers {
  onEstablished(): void;
  /** Bytes can be read, or the peer ended its side (`ended`). */
  onReadable(): void;
  /** There is room to write again. */
  onWritable(): void;
  /** Nothing follows. For 'done' and 'reset', bytes received before can still be read. */
  onClosed(reason: TcpCloseReason): void;
}

export interface TcpEndpoints {
  readonly localIp: number;
  readonly localPort: number;
  readonly remoteIp: number;
  readonly remotePort: number;
}

export type TcpEvent = 'tcp-retransmitted' | 'tcp-timeouts' | 'tcp-spurious-timeouts' | 'tcp-window-probes' | 'tcp-challenged' | 'tcp-given-up';

export interface TcpConnectionPorts {
  readonly clock: Clock;
  readonly budget: BufferBudget;
  /** Largest payload plus options of a segment, either way. */
  readonly mss: number;
  /** Puts a segment on the wire, with `length` bytes of `ring` from `offset` as payload. */
  send(endpoints: TcpEndpoints, header: TcpHeader, ring: ByteRing | null, offset: number, length: number): void;
  readonly count: (event: TcpEvent) => void;
  /** The connection is over. */
  forget(endpoints: TcpEndpoints): void;
}
