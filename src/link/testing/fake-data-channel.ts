/**
 * Two ends of an RTCDataChannel for tests in Node, which has none. They follow W3C's description of `send`,
 * `bufferedAmount` and `close` for a reliable, ordered channel. The end-to-end tests use real channels.
 */

/** Bytes that are sent in one task. */
const BYTES_A_TASK = 256 * 1024;

export class FakeDataChannel {
  readyState: RTCDataChannelState = 'connecting';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  binaryType: BinaryType = 'blob';
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onbufferedamountlow: (() => void) | null = null;
  private peer: FakeDataChannel | null = null;
  private readonly queue: Uint8Array[] = [];
  private pumping = false;

  /** A pair that opens in a later task. */
  static pair(): [FakeDataChannel, FakeDataChannel] {
    const [one, other] = [new FakeDataChannel(), new FakeDataChannel()];
    [one.peer, other.peer] = [other, one];
    for (const end of [one, other]) setImmediate(() => end.opens());
    return [one, other];
  }

  send(message: Uint8Array): void {
    if (this.readyState !== 'open') throw new DOMException('The channel is not open', 'InvalidStateError');
    this.queue.push(message.slice());
    this.bufferedAmount += message.byteLength;
    this.pump();
  }

  close(): void {
    if (this.readyState === 'closing' || this.readyState === 'closed') return;
    this.readyState = 'closing';
    this.pump();
  }

  private opens(): void {
    if (this.readyState !== 'connecting') return;
    this.readyState = 'open';
    this.onopen?.();
    this.pump();
  }

  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    setImmediate(() => {
      this.pumping = false;
      // An end that is not open yet receives nothing.
      if (this.peer?.readyState === 'connecting') {
        this.pump();
        return;
      }
      const before = this.bufferedAmount;
      for (let sent = 0; sent < BYTES_A_TASK && this.queue.length > 0;) {
        const message = this.queue.shift()!;
        sent += message.byteLength;
        this.bufferedAmount -= message.byteLength;
        if (this.peer?.readyState === 'open') this.peer.onmessage?.({ data: message.buffer });
      }
      if (before > this.bufferedAmountLowThreshold && this.bufferedAmount <= this.bufferedAmountLowThreshold) this.onbufferedamountlow?.();
      if (this.queue.length > 0) this.pump();
      else if (this.readyState === 'closing') this.ends();
    });
  }

  private ends(): void {
    for (const end of [this, this.peer]) {
      if (end === null || end.readyState === 'closed') continue;
      end.readyState = 'closed';
      end.onclose?.();
    }
  }
}
