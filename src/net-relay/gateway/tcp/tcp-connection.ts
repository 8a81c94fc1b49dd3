/**
 * One TCP connection (RFC 9293): the state machine around a TcpSender, a TcpReceiver and a SegmentWriter, and its one timer.
 * Pure: segments and time come in, segments go out through a port.
 */
import { agree, synOptions, SynTimer, type Agreement } from './handshake.ts';
import { Keepalive } from './keepalive.ts';
import { LazyTimer } from './lazy-timer.ts';
import { TcpReceiver } from './tcp-receiver.ts';
import { SegmentWriter } from './segment-writer.ts';
import { TcpFlag, type TcpSegment } from './segment.ts';
import { TcpSender } from './tcp-sender.ts';
import { seqAdd, seqDiff } from './sequence.ts';
import type { TcpCloseReason, TcpConnectionPorts, TcpEndpoints, TcpHandlers, TcpState } from './types.ts';

/** Segments do not linger in a virtual LAN: a short TIME-WAIT suffices (twice the longest hold of a switchover). */
const TIME_WAIT_MS = 10_000;
/** For how long the peer may keep its side open after the owner has gone; Linux waits as long. */
const ORPHAN_LIMIT_MS = 60_000;

export class TcpConnection {
  state: TcpState;
  readonly endpoints: TcpEndpoints;
  /** The peer ended its side, and everything it sent was put in order. */
  peerEnded = false;
  handlers: TcpHandlers;
  private readonly ports: TcpConnectionPorts;
  private readonly iss: number;
  private readonly writer: SegmentWriter;
  private sender: TcpSender | null = null;
  private receiver: TcpReceiver | null = null;
  private syn: TcpSegment | null = null;
  private readonly synTimer: SynTimer;
  private readonly keepalive: Keepalive;
  private agreement: Agreement | null = null;
  private finAt: number | null = null;
  private lifeEndsAt: number | null = null;
  private readonly timer: LazyTimer;

  constructor(endpoints: TcpEndpoints, handlers: TcpHandlers, ports: TcpConnectionPorts, iss: number, syn: TcpSegment | null) {
    this.endpoints = endpoints;
    this.handlers = handlers;
    this.ports = ports;
    this.iss = iss;
    this.syn = syn;
    this.state = syn === null ? 'syn-sent' : 'offered';
    this.writer = new SegmentWriter(endpoints, ports);
    this.synTimer = new SynTimer(ports.clock.now());
    this.keepalive = new Keepalive(ports.clock.now());
    this.timer = new LazyTimer(ports.clock, () => this.onTimer());
  }

  // --- for the owner -------------------------------------------------------------------------------------------------

  /** Active open: sends the SYN. */
  open(): void {
    this.sendSyn();
  }

  /** Passive open: takes the SYN that the connection was offered with. */
  accept(): void {
    const syn = this.syn;
    if (this.state !== 'offered' || syn === null) return;
    this.state = 'syn-received';
    this.negotiate(syn);
    this.sendSyn();
  }

  /** Passive open: turns it down with a reset. */
  refuse(): void {
    const syn = this.syn;
    if (this.state !== 'offered' || syn === null) return;
    this.writer.reset(0, seqAdd(syn.seq, 1));
    this.close('aborted');
  }

  /** Bytes that can be read now. */
  get readable(): number {
    return this.receiver?.readable ?? 0;
  }

  /** True once the peer ended its side and everything was read. */
  get ended(): boolean {
    return this.peerEnded && this.readable === 0;
  }

  /** RCV.NXT: the sequence number behind everything received. */
  get received(): number {
    return this.receiver?.next ?? 0;
  }

  /** Removes and returns at most `limit` bytes; tells the peer about the room this makes. */
  read(limit: number): Uint8Array {
    const receiver = this.receiver;
    if (receiver === null) return new Uint8Array(0);
    const data = receiver.read(limit);
    if (!this.peerEnded && this.isOpen() && receiver.windowUpdateDue) this.sendAck();
    return data;
  }

  /** Queues as much of `data` as there is room for; returns how many bytes were taken. */
  write(data: Uint8Array): number {
    const sender = this.sender;
    if (sender === null || (this.state !== 'established' && this.state !== 'close-wait')) return 0;
    const taken = sender.append(data);
    sender.output(this.now());
    this.schedule();
    return taken;
  }

  /** Ends our side once everything queued was sent. */
  shutdown(): void {
    if (this.state === 'established') this.state = 'fin-wait-1';
    else if (this.state === 'close-wait') this.state = 'last-ack';
    else return;
    this.sender?.finish();
    this.sender?.output(this.now());
    this.schedule();
  }

  /** The owner has left in an orderly way and reads no more; what it wrote is still delivered. */
  orphan(): void {
    if (this.state !== 'closed' && this.state !== 'time-wait') this.lifeEndsAt ??= this.now() + ORPHAN_LIMIT_MS;
    this.schedule();
  }

  /** Resets the connection. */
  abort(): void {
    if (this.state === 'closed') return;
    if (this.state !== 'time-wait') this.sendReset();
    this.close('aborted');
  }

  /** The peer is known to be reachable again: retransmit now instead of at the end of a long wait. */
  nudge(): void {
    this.synTimer.nudge(this.now());
    this.sender?.nudge(this.now());
    this.schedule();
  }

  /** Bytes of memory held by the buffers. */
  get allocated(): number {
    return (this.receiver?.allocated ?? 0) + (this.sender?.ring.allocated ?? 0);
  }

  // --- segments ------------------------------------------------------------------------------------------------------

  /** Takes a segment for this connection. */
  receive(segment: TcpSegment): void {
    this.keepalive.heard(this.now());
    if (this.state === 'syn-sent') this.receiveInSynSent(segment);
    else if (this.state === 'offered') this.receiveWhileOffered(segment);
    else if (this.state !== 'closed') this.receiveSynchronized(segment);
    if (this.isOpen()) this.schedule();
  }

  private receiveWhileOffered(segment: TcpSegment): void {
    if ((segment.flags & TcpFlag.rst) !== 0) this.close('reset');
  }

  private receiveInSynSent(segment: TcpSegment): void {
    const { flags } = segment;
    const acksSyn = (flags & TcpFlag.ack) !== 0 && segment.ack === seqAdd(this.iss, 1);
    if ((flags & TcpFlag.ack) !== 0 && !acksSyn) {
      if ((flags & TcpFlag.rst) === 0) this.writer.reset(segment.ack, null);
      return;
    }
    if ((flags & TcpFlag.rst) !== 0) {
      if (acksSyn) this.close('refused');
      return;
    }
    if ((flags & TcpFlag.syn) === 0) return;
    this.negotiate(segment);
    if (!acksSyn) {
      // Simultaneous open.
      this.state = 'syn-received';
      this.sendSyn();
      return;
    }
    this.establish(segment);
    this.sendAck();
  }

  /** Takes the peer's SYN: its options, and the number from which its bytes count. */
  private negotiate(syn: TcpSegment): void {
    const agreement = agree(syn.options, this.ports.mss);
    this.syn = syn;
    this.agreement = agreement;
    const first = seqAdd(syn.seq, 1);
    this.writer.begin(first, agreement.timestamps, syn.options.timestamp?.value ?? 0);
    this.receiver = new TcpReceiver(first, agreement.receiveMss, agreement.ourShift, this.ports.budget);
  }

  private establish(segment: TcpSegment): void {
    const agreement = this.agreement;
    if (agreement === null) return;
    const isSyn = (segment.flags & TcpFlag.syn) !== 0;
    this.sender = new TcpSender({
      first: seqAdd(this.iss, 1),
      mss: agreement.sendMss,
      window: isSyn ? segment.window : segment.window * 2 ** agreement.peerShift,
      sack: agreement.sack,
      budget: this.ports.budget,
      transmit: (seq, offset, length, fin) => this.sendData(seq, offset, length, fin),
      count: this.ports.count,
    });
    const rtt = this.synTimer.established(this.now());
    if (rtt !== null) this.sender.timeout.sample(rtt);
    this.syn = null;
    this.state = 'established';
    this.handlers.onEstablished();
  }

  private receiveSynchronized(segment: TcpSegment): void {
    const receiver = this.receiver;
    if (receiver === null) return;
    const { flags, seq, payload } = segment;
    const fin = (flags & TcpFlag.fin) !== 0;
    const length = payload.length + (fin ? 1 : 0) + ((flags & TcpFlag.syn) !== 0 ? 1 : 0);
    this.writer.heard(segment);
    if (!receiver.isAcceptable(seq, length)) {
      if ((flags & TcpFlag.rst) !== 0) return;
      if (this.state === 'syn-received' && (flags & TcpFlag.syn) !== 0) this.sendSyn();
      else if (length > 0) this.sendAck();
      else this.challenge();
      // A retransmitted FIN shows that our ACK of it was lost: wait for another one.
      if (this.state === 'time-wait' && fin) this.lifeEndsAt = this.now() + TIME_WAIT_MS;
      // In a closed window the peer's ACK still counts; its data does not.
      if ((flags & TcpFlag.ack) !== 0 && this.state !== 'syn-received' && seq === receiver.next && this.takeAck(segment)) {
        if (this.state !== 'time-wait') this.sender?.output(this.now());
      }
      return;
    }
    if ((flags & TcpFlag.rst) !== 0) {
      if (seq === receiver.next) this.close(this.state === 'syn-received' ? 'refused' : 'reset');
      else this.challenge();
      return;
    }
    if ((flags & TcpFlag.syn) !== 0) {
      this.challenge();
      return;
    }
    if ((flags & TcpFlag.ack) === 0) return;
    if (this.state === 'syn-received') {
      if (segment.ack !== seqAdd(this.iss, 1)) {
        this.writer.reset(segment.ack, null);
        return;
      }
      this.establish(segment);
    }
    if (!this.takeAck(segment)) return;
    if (payload.length > 0 || fin) this.takePayload(receiver, segment, fin);
    if (!this.isOpen()) return;
    if (this.state !== 'time-wait') this.sender?.output(this.now());
    const due = receiver.acknowledgmentDue();
    if (due === 'now') this.sendAck();
    else if (due === 'later') this.writer.putOffAck(this.now());
  }

  /** False if the segment needs no further processing: it acknowledged data that was never sent, or the connection is over. */
  private takeAck(segment: TcpSegment): boolean {
    const sender = this.sender;
    const agreement = this.agreement;
    if (sender === null || agreement === null) return false;
    if (seqDiff(segment.ack, sender.next) > 0) {
      this.challenge();
      return false;
    }
    const now = this.now();
    const free = sender.free;
    sender.acknowledge(
      {
        seq: segment.seq,
        ack: segment.ack,
        window: segment.window * 2 ** agreement.peerShift,
        echo: agreement.timestamps ? segment.options.timestamp?.echo : undefined,
        sack: segment.options.sack,
        bare: segment.payload.length === 0 && (segment.flags & TcpFlag.fin) === 0,
      },
      now,
    );
    if (sender.finished) {
      if (this.state === 'fin-wait-1') this.state = 'fin-wait-2';
      else if (this.state === 'closing') this.waitOut();
      else if (this.state === 'last-ack') {
        this.close('done');
        return false;
      }
    }
    if (sender.free > free) this.handlers.onWritable();
    // The owner may have aborted in its handler.
    return this.isOpen();
  }

  private takePayload(receiver: TcpReceiver, segment: TcpSegment, fin: boolean): void {
    if (this.peerEnded) {
      this.sendAck();
      return;
    }
    const before = receiver.next;
    const taken = segment.payload.length === 0 ? 'in-order' : receiver.accept(segment.seq, segment.payload);
    if (fin) this.finAt = seqAdd(segment.seq, segment.payload.length);
    if (this.finAt !== null && receiver.next === this.finAt) this.takeFin(receiver);
    else if (taken !== 'in-order' || fin) this.sendAck();
    if (receiver.next !== before) this.handlers.onReadable();
  }

  private takeFin(receiver: TcpReceiver): void {
    receiver.next = seqAdd(receiver.next, 1);
    this.peerEnded = true;
    this.sendAck();
    if (this.state === 'established') this.state = 'close-wait';
    else if (this.state === 'fin-wait-1') this.state = 'closing';
    else if (this.state === 'fin-wait-2') this.waitOut();
  }

  private waitOut(): void {
    this.state = 'time-wait';
    this.lifeEndsAt = this.now() + TIME_WAIT_MS;
    this.sender?.release();
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  private sendSyn(): void {
    const now = this.now();
    const answers = this.state === 'syn-received';
    const options = synOptions(answers ? (this.syn?.options ?? {}) : null, this.ports.mss, now);
    this.writer.syn(this.iss, answers ? this.received : null, options);
    this.synTimer.sent(now);
    this.schedule();
  }

  private sendData(seq: number, offset: number, length: number, fin: boolean): void {
    if (this.sender !== null && this.receiver !== null) this.writer.data(this.receiver, seq, this.sender.ring, offset, length, fin);
  }

  private sendAck(): void {
    if (this.sender !== null && this.receiver !== null) this.writer.ack(this.receiver, this.sender.next);
  }

  private sendReset(): void {
    if (this.sender !== null && this.receiver !== null) this.writer.reset(this.sender.next, this.receiver.next);
  }

  private challenge(): void {
    if (!this.writer.mayChallenge(this.now())) return;
    this.ports.count('tcp-challenged');
    this.sendAck();
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  private now(): number {
    return this.ports.clock.now();
  }

  /** Read through a method: handlers may close the connection behind the type checker's back. */
  private isOpen(): boolean {
    return this.state !== 'closed';
  }

  private nextDeadline(): number {
    return Math.min(
      this.sender === null || this.state === 'time-wait' ? Number.POSITIVE_INFINITY : this.keepalive.deadline,
      this.synTimer.at ?? Number.POSITIVE_INFINITY,
      this.writer.delayedAckAt ?? Number.POSITIVE_INFINITY,
      this.lifeEndsAt ?? Number.POSITIVE_INFINITY,
      this.sender?.retransmitAt ?? Number.POSITIVE_INFINITY,
      this.sender?.persistAt ?? Number.POSITIVE_INFINITY,
    );
  }

  private schedule(): void {
    if (this.state !== 'closed') this.timer.noLaterThan(this.nextDeadline());
  }

  private onTimer(): void {
    const now = this.now();
    if (this.lifeEndsAt !== null && now >= this.lifeEndsAt) {
      if (this.state === 'time-wait') this.close('done');
      else this.abort();
      return;
    }
    const syn = this.synTimer.due(now);
    if (syn === 'repeat') {
      this.ports.count('tcp-retransmitted');
      this.sendSyn();
    }
    if (this.writer.delayedAckAt !== null && now >= this.writer.delayedAckAt) this.sendAck();
    const outcome = this.sender?.onDeadline(now) ?? 'go-on';
    const keepalive = this.sender === null ? 'nothing' : this.keepalive.due(now);
    if (syn === 'give-up' || outcome === 'give-up' || keepalive === 'give-up') {
      this.giveUp();
      return;
    }
    if (outcome === 'probe' || keepalive === 'probe') this.probe();
    this.schedule();
  }

  /** Sends an old sequence number without data: the peer answers with its position and its window. */
  private probe(): void {
    if (this.sender !== null && this.receiver !== null) this.writer.ack(this.receiver, seqAdd(this.sender.una, -1));
  }

  private giveUp(): void {
    this.ports.count('tcp-given-up');
    this.sendReset();
    this.close('timed-out');
  }

  private close(reason: TcpCloseReason): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.timer.dispose();
    this.sender?.release();
    this.sender = null;
    // What came in order before the end can still be read.
    this.receiver?.stop();
    this.ports.forget(this.endpoints);
    this.handlers.onClosed(reason);
  }
}
