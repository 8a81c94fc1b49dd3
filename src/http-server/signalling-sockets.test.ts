import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import type { ServerSocketEvents } from '../net-relay/server/server-socket.ts';
import {
  ABSENT_EXPIRE_MS,
  MAX_ABSENT_BYTES,
  MAX_ABSENT_BYTES_PER_PEER,
  MAX_PAYLOAD_DEPTH,
  MAX_PAYLOAD_VALUES,
  MAX_SOCKETS,
  MAX_SOCKETS_PER_ADDRESS,
  MAX_WAITING_BYTES,
  MAX_WAITING_BYTES_PER_RECEIVER,
  MESSAGE_OVERHEAD_BYTES,
  TOKEN_BURST,
  TOKENS_PER_SECOND,
} from './signalling-limits.ts';
import { SignallingSockets, type PeerSocket } from './signalling-sockets.ts';

let clock: VirtualClock;
let sockets: SignallingSockets;
beforeEach(() => {
  clock = new VirtualClock();
  sockets = new SignallingSockets(clock);
});

/** A socket whose other side reads only when it is told to. */
class Visitor {
  readonly events: ServerSocketEvents;
  readonly peer: PeerSocket;
  /** What peer heard. */
  readonly heard: string[] = [];
  readonly address: string | null;
  end: string | null = null;
  private unread: (() => void)[] = [];

  constructor(id: string | null, address: string | null = null) {
    this.address = address;
    const { events, peer } = sockets.connect(
      {
        backlogBytes: 0,
        sendText: (_text, onSent) => void this.unread.push(() => onSent?.()),
        sendUtf8: () => undefined,
        sendBinary: () => undefined,
        pause: () => undefined,
        resume: () => undefined,
        close: (_code, reason) => void (this.end ??= reason),
        terminate: () => void (this.end ??= 'cut'),
      },
      address,
    );
    this.events = events;
    this.peer = peer;
    peer.on('message', (text: string) => this.heard.push(text));
    if (id !== null) sockets.arrived(id, peer);
  }

  read(): void {
    const unread = this.unread;
    this.unread = [];
    for (const onSent of unread) onSent();
  }
}

const offer = (to: string, payload: unknown = {}): string => JSON.stringify({ type: 'OFFER', dst: to, payload });
const advance = (ms: number): void => {
  const until = clock.now() + ms;
  while ((clock.nextAt ?? Infinity) <= until) clock.fireNext();
  clock.pass(until - clock.now());
};
const refused = (): object => sockets.figures().refusals;

describe('messages (SG2)', () => {
  it('are passed on as PeerJS sends them', () => {
    const visitor = new Visitor('a');
    new Visitor('b');
    const messages = [
      '{"type":"HEARTBEAT"}',
      offer('b', {
        sdp: { type: 'offer', sdp: 'v=0\r\n'.repeat(800) },
        type: 'data',
        connectionId: 'dc_1',
        metadata: { nonce: 'n' },
        label: 'dc_1',
        reliable: false,
        serialization: 'json',
      }),
      JSON.stringify({
        type: 'CANDIDATE',
        dst: 'b',
        payload: {
          candidate: { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'u' },
          type: 'data',
          connectionId: 'dc_1',
        },
      }),
    ];
    for (const message of messages) visitor.events.text(message);
    expect(visitor.heard).toEqual(messages);
    expect([visitor.end, refused()]).toEqual([null, {}]);
  });

  const deep = (depth: number): unknown => (depth === 0 ? 0 : [deep(depth - 1)]);
  it.each([
    ['no JSON', 'x'],
    ['nothing', 'null'],
    ['a type that only the server sends', JSON.stringify({ type: 'LEAVE', dst: 'b' })],
    ['no destination', JSON.stringify({ type: 'OFFER', payload: {} })],
    ['a destination that is no id', offer('x'.repeat(65))],
    ['text nested too deep to be written again', `{"type":"OFFER","dst":"b","payload":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
    ['one level too many', offer('b', deep(MAX_PAYLOAD_DEPTH))],
    ['more values than an offer has', offer('b', Array<number>(MAX_PAYLOAD_VALUES).fill(0))],
  ])('of %s end their socket, and reach nobody', (_what, text) => {
    const visitor = new Visitor('a');
    visitor.events.text(text);
    visitor.events.text(offer('b'));
    expect([visitor.heard, visitor.end, refused()]).toEqual([[], 'malformed', { malformed: 1 }]);
  });

  it('may come as many as joining a full room takes, at once; a flood ends its socket', () => {
    const visitor = new Visitor('a');
    for (let other = 0; other < 127; other++) {
      const to = `host-${other}`;
      new Visitor(to);
      visitor.events.text(offer(to, { sdp: 'x'.repeat(3000) }));
      for (let candidate = 0; candidate < 10; candidate++) visitor.events.text(offer(to, { candidate: 'x'.repeat(300) }));
    }
    expect([visitor.end, visitor.heard.length]).toEqual([null, 127 * 11]);
    advance(1000 * (TOKEN_BURST / TOKENS_PER_SECOND));
    for (let count = 0; count < TOKEN_BURST + 100; count++) visitor.events.text('{"type":"HEARTBEAT"}');
    expect([visitor.end, visitor.heard.length - 127 * 11, refused()]).toEqual(['too-fast', TOKEN_BURST, { 'too-fast': 1 }]);
  });

  it('cost by their size, not only by their number', () => {
    const visitor = new Visitor('a');
    new Visitor('b');
    while (visitor.end === null) visitor.events.text(offer('b', { sdp: 'x'.repeat(60 * 1024) }));
    expect(visitor.heard.length).toBe(Math.floor(TOKEN_BURST / 61));
  });
});

describe('what waits for a receiver that does not read (SG3)', () => {
  it('is bounded, and the receiver let go', () => {
    const visitor = new Visitor('a');
    for (let count = 0; count < 1600; count++) {
      visitor.peer.send('x'.repeat(60 * 1024));
      expect(sockets.figures().waitingBytes).toBeLessThanOrEqual(MAX_WAITING_BYTES_PER_RECEIVER);
    }
    expect([visitor.end, sockets.figures().waitingBytes, refused()]).toEqual(['cut', 0, { 'too-slow': 1 }]);
  });

  it('counts what small messages cost', () => {
    const visitor = new Visitor('a');
    let sent = 0;
    for (; visitor.end === null; sent++) visitor.peer.send('x');
    expect(sent).toBeLessThanOrEqual(MAX_WAITING_BYTES_PER_RECEIVER / MESSAGE_OVERHEAD_BYTES + 1);
  });

  it('is nothing for one that reads', () => {
    const visitor = new Visitor('a');
    for (let count = 0; count < 100; count++) {
      visitor.peer.send('x'.repeat(60 * 1024));
      visitor.read();
    }
    expect([visitor.end, sockets.figures().waitingBytes]).toEqual([null, 0]);
  });

  it('is bounded for all together: the one with the most goes, those with little stay', () => {
    const honest = new Visitor('honest');
    honest.peer.send('x');
    const others = Array.from({ length: 200 }, (_, at) => new Visitor(`idle-${at}`));
    for (const other of others) {
      for (let count = 0; count < 10; count++) other.peer.send('x'.repeat(60 * 1024));
      expect(sockets.figures().waitingBytes).toBeLessThanOrEqual(MAX_WAITING_BYTES);
    }
    expect(honest.end).toBeNull();
    expect(refused()).toEqual({ 'waiting-full': others.filter(({ end }) => end === 'cut').length });
    for (const visitor of [honest, ...others]) {
      visitor.events.closed(false);
      visitor.read();
    }
    expect(sockets.figures()).toMatchObject({ sockets: 0, waitingBytes: 0 });
  });
});

describe('what waits for peers that are not there (SG4)', () => {
  const large = { sdp: 'x'.repeat(10_000) };

  it('is bounded for each and for all; more is dropped', () => {
    const senders = Array.from({ length: 40 }, (_, at) => new Visitor(`a${at}`));
    for (const [at, sender] of senders.entries()) {
      for (let count = 0; count < 300; count++) sender.events.text(offer(`nobody-${at}`, large));
      expect(sender.heard.length * 10_000).toBeLessThanOrEqual(MAX_ABSENT_BYTES_PER_PEER);
      expect(sockets.figures().absentBytes).toBeLessThanOrEqual(MAX_ABSENT_BYTES);
      expect(sender.end).toBeNull();
    }
    expect(sockets.figures().absentBytes).toBeGreaterThan(MAX_ABSENT_BYTES - MAX_ABSENT_BYTES_PER_PEER);
    const passed = senders.reduce((sum, { heard }) => sum + heard.length, 0);
    expect(refused()).toEqual({ 'absent-full': 40 * 300 - passed });
  });

  it('is free again once it expired, or its receiver came', () => {
    const sender = new Visitor('a');
    for (let count = 0; count < 300; count++) sender.events.text(offer('b', large));
    const before = sender.heard.length;
    advance(ABSENT_EXPIRE_MS);
    // Peer looks for expired messages only once a second.
    expect(sockets.figures().absentBytes).toBeGreaterThan(0);
    advance(ABSENT_EXPIRE_MS);
    expect(sockets.figures().absentBytes).toBe(0);
    sender.events.text(offer('b', large));
    expect(sender.heard.length).toBe(before + 1);
    new Visitor('b');
    expect(sockets.figures().absentBytes).toBe(0);
    advance(2 * ABSENT_EXPIRE_MS);
    expect([sockets.figures().absentBytes, clock.pending]).toEqual([0, 0]);
  });
});

describe('sockets (SG1)', () => {
  const enter = (address: string | null): Visitor | string => sockets.obstacle(address) ?? new Visitor(null, address);

  it('are limited for each address, and free again once they close', () => {
    const first = enter('192.0.2.1') as Visitor;
    for (let count = 1; count < MAX_SOCKETS_PER_ADDRESS; count++) expect(enter('192.0.2.1')).toBeInstanceOf(Visitor);
    expect(enter('192.0.2.1')).toBe('address-full');
    expect(enter('192.0.2.2')).toBeInstanceOf(Visitor);
    first.events.closed(true);
    first.events.closed(true);
    expect(enter('192.0.2.1')).toBeInstanceOf(Visitor);
    expect(enter('192.0.2.1')).toBe('address-full');
  });

  it('are limited in all, those of a proxy on this machine too', () => {
    for (let count = 0; count < MAX_SOCKETS; count++) expect(enter(null)).toBeInstanceOf(Visitor);
    expect(enter(null)).toBe('full');
  });

  it("are one for each id: a newer one takes the older one's place", () => {
    const older = new Visitor('a');
    const newer = new Visitor('a');
    expect([older.end, newer.end]).toEqual(['replaced', null]);
    older.events.text(offer('b'));
    expect(older.heard).toEqual([]);
  });
});
