import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import {
  CONNECTION_DISTANCE_MS,
  CONNECTIONS_AT_ONCE,
  CONNECTIONS_IN_A_ROW,
  CONNECTIONS_PER_SECOND,
  MAX_CONNECTIONS_WAITING,
} from '../net-relay/limits/server-limits.ts';
import { systemClock } from '../shared/system-clock.ts';
import { Arrivals } from './arrivals.ts';
import { listen } from './listener.ts';

/** A connection that only counts what is done to it. */
class FakeSocket {
  readonly remoteAddress: string;
  paused = false;
  destroyed = false;
  readonly listeners = new Map<string, () => void>();
  constructor(remoteAddress: string) {
    this.remoteAddress = remoteAddress;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  destroy(): void {
    this.destroyed = true;
  }
  once(event: string, listener: () => void): void {
    this.listeners.set(event, listener);
  }
  off(event: string): void {
    this.listeners.delete(event);
  }
}

const arrive = (arrivals: Arrivals, address: string, admit: () => void): FakeSocket => {
  const socket = new FakeSocket(address);
  arrivals.turn(socket as unknown as Socket, admit);
  return socket;
};

describe('connections of one address (NR47)', () => {
  it('are taken in a row up to a number, then at a distance, then at a pace, in turn, and ended beyond what may wait', () => {
    const clock = new VirtualClock();
    const arrivals = new Arrivals(clock);
    const admitted: number[] = [];
    const sockets = Array.from({ length: CONNECTIONS_AT_ONCE + MAX_CONNECTIONS_WAITING + 20 }, (_, number) =>
      arrive(arrivals, '192.0.2.1', () => admitted.push(number)),
    );
    const began = clock.now();
    expect(admitted).toHaveLength(CONNECTIONS_IN_A_ROW);
    expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(20);
    expect(arrivals.refusals.toJSON()).toEqual({ 'connections-waiting': 20 });
    while (admitted.length < CONNECTIONS_AT_ONCE) clock.fireNext();
    expect(clock.now() - began).toBeCloseTo((CONNECTIONS_AT_ONCE - CONNECTIONS_IN_A_ROW) * CONNECTION_DISTANCE_MS, 0);
    expect(sockets.filter(({ paused }) => paused)).toHaveLength(MAX_CONNECTIONS_WAITING);
    while (clock.nextAt !== null) clock.fireNext();
    expect(clock.now() - began).toBeCloseTo((MAX_CONNECTIONS_WAITING / CONNECTIONS_PER_SECOND) * 1000, 0);
    expect(admitted).toEqual(Array.from({ length: CONNECTIONS_AT_ONCE + MAX_CONNECTIONS_WAITING }, (_, number) => number));
    expect(sockets.filter(({ paused, listeners }) => paused || listeners.size > 0)).toEqual([]);
  });

  it('are not slowed by those of another, nor is this machine itself', () => {
    const arrivals = new Arrivals(new VirtualClock());
    let admitted = 0;
    for (let count = 0; count < 5000; count++) arrive(arrivals, '192.0.2.1', () => undefined);
    for (const address of ['192.0.2.2', '2001:db8::1', '127.0.0.1', '::1', '::ffff:127.0.0.1']) arrive(arrivals, address, () => admitted++);
    for (let count = 0; count < 5000; count++) arrive(arrivals, '127.0.0.1', () => admitted++);
    expect(admitted).toBe(5005);
  });

  it("that end while they wait take nobody's turn", () => {
    const clock = new VirtualClock();
    const arrivals = new Arrivals(clock);
    let admitted = 0;
    for (let count = 0; count < CONNECTIONS_AT_ONCE; count++) arrive(arrivals, '192.0.2.1', () => undefined);
    const waiting = arrive(arrivals, '192.0.2.1', () => admitted++);
    waiting.listeners.get('close')?.();
    while (clock.nextAt !== null) clock.fireNext();
    expect(admitted).toBe(0);
  });

  it('that wait are answered all the same, with what they had sent by then', async () => {
    const arrivals = new Arrivals(systemClock);
    // As many as there are at once from an address that is not this test's own.
    for (let count = 0; count < CONNECTIONS_AT_ONCE; count++) arrive(arrivals, '127.0.0.9', () => undefined);
    const listener = await listen({ host: '127.0.0.1', port: 0, tls: null, arrivals });
    listener.serve((request, response) => response.end(`you asked for ${request.url ?? ''}`));
    const answers = await Promise.all(
      Array.from({ length: 5 }, async (_, number) => {
        const socket = connect({ host: '127.0.0.1', port: listener.port, localAddress: '127.0.0.9' });
        await once(socket, 'connect');
        socket.write(`GET /${number} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
        return text(socket);
      }),
    );
    answers.forEach((answer, number) => expect(answer).toContain(`you asked for /${number}`));
    await listener.close();
  });
});
