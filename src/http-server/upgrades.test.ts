import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { listen, type Listener } from './listener.ts';
import { createSignalling } from './signalling.ts';
import { callersOf } from './caller-address.ts';
import { dispatchUpgrades, REFUSAL_LIMIT_MS, refuseUpgrade } from './upgrades.ts';

describe('a refused upgrade (NR1)', () => {
  let listener: Listener;
  const troubles: unknown[] = [];
  beforeAll(async () => {
    listener = await listen({ host: '127.0.0.1', port: 0, tls: null });
    const signalling = createSignalling(() => undefined, callersOf(false));
    listener.serve(express().use('/peerjs', signalling.routes));
    dispatchUpgrades(listener.server, listener.allowsHost, (error) => troubles.push(error), {
      '/peerjs': signalling.upgrade,
      '/broken': () => {
        throw new Error('inner detail');
      },
    });
  });
  afterAll(() => listener.close());

  /** Opens a connection that never closes its own side, and asks for an upgrade. */
  async function halfOpen(path: string, headers: string): Promise<Socket> {
    const socket = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    socket.write(`GET ${path} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${headers}\r\n\r\nbytes that nobody asked for`);
    return socket;
  }

  it.each([
    ['of a path that is not there', 404, '/nowhere', 'Host: localhost'],
    ['of a host that is not ours', 421, '/peerjs/peerjs', 'Host: evil.example'],
    ['by a page of another site', 403, '/peerjs/peerjs', 'Host: localhost\r\nOrigin: http://evil.example'],
    ['without a WebSocket key', 400, '/peerjs/peerjs', 'Host: localhost\r\nSec-WebSocket-Version: 13'],
  ])('%s is answered %i, and its socket given back although the other side stays', async (_why, status, path, headers) => {
    const given = once(listener.server, 'connection');
    const other = await halfOpen(path, headers);
    const [ours] = (await given) as [Socket];
    const gone = ours.destroyed ? Promise.resolve() : once(ours, 'close');
    let answer = '';
    other.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    await once(other, 'end');
    await gone;
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(other.writableEnded).toBe(false);
    other.destroy();
  });

  it('leaves nothing behind of many', async () => {
    const count = 200;
    let left = count;
    const ends = new Promise<void>((resolve) => listener.server.on('connection', (ours: Socket) => ours.once('close', () => --left === 0 && resolve())));
    const others = await Promise.all(Array.from({ length: count }, () => halfOpen('/nowhere', 'Host: localhost')));
    await ends;
    expect(others.filter((other) => other.writableEnded)).toEqual([]);
    for (const other of others) other.destroy();
  });

  it('ends with its socket alone when the server fails at it', async () => {
    const other = await halfOpen('/broken', 'Host: localhost');
    let answer = '';
    other.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    other.on('error', () => undefined);
    await Promise.race([once(other, 'end'), once(other, 'close')]);
    other.destroy();
    expect([answer, troubles]).toEqual(['', [new Error('inner detail')]]);
  });

  it('is cut off if the answer is not taken', () => {
    const clock = new VirtualClock();
    const stuck = new Duplex({ read: () => undefined, write: () => undefined });
    refuseUpgrade(stuck, 404, '', clock);
    expect([stuck.destroyed, clock.nextAt]).toEqual([false, clock.now() + REFUSAL_LIMIT_MS]);
    clock.fireNext();
    expect(stuck.destroyed).toBe(true);
  });
});
