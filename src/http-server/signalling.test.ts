import { once } from 'node:events';
import { request } from 'node:http';
import express from 'express';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket, type RawData } from 'ws';
import { listen, type Listener } from './listener.ts';
import { MAX_ABSENT_BYTES_PER_PEER, MAX_WAITING_BYTES_PER_RECEIVER } from './signalling-limits.ts';
import { callersOf } from './caller-address.ts';
import { createSignalling, type Signalling } from './signalling.ts';
import { dispatchUpgrades } from './upgrades.ts';

/** The status of the answer to a WebSocket upgrade; 101 = accepted. */
async function upgradeStatus(port: number, path: string, headers: Record<string, string> = {}): Promise<number> {
  const sent = request({
    host: '127.0.0.1',
    port,
    path,
    headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers },
  });
  sent.end();
  return new Promise((resolve, reject) => {
    sent.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    sent.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', reject);
  });
}

describe('signalling beside other WebSockets on one port', () => {
  let listener: Listener;
  const upgraded: string[] = [];

  beforeAll(async () => {
    listener = await listen({ host: '127.0.0.1', port: 0, tls: null });
    const signalling = createSignalling(() => undefined, callersOf(false));
    listener.serve(express().use('/peerjs', signalling.routes));
    dispatchUpgrades(listener.server, listener.allowsHost, () => undefined, {
      '/peerjs': signalling.upgrade,
      '/relay': (incoming, socket) => {
        upgraded.push(incoming.url ?? '');
        socket.end('HTTP/1.1 418 Own answer\r\nConnection: close\r\n\r\n');
      },
    });
  });
  afterAll(() => listener.close());

  it('hands out peer ids', async () => {
    const answer = await fetch(`http://127.0.0.1:${listener.port}/peerjs/peerjs/id`);
    expect(await answer.text()).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('accepts a peer', async () => {
    expect(await upgradeStatus(listener.port, '/peerjs/peerjs?key=peerjs&id=a&token=t')).toBe(101);
  });

  it('refuses a page of another site', async () => {
    const own = `http://127.0.0.1:${listener.port}`;
    expect(await upgradeStatus(listener.port, '/peerjs/peerjs?key=peerjs&id=b&token=t', { Origin: own })).toBe(101);
    expect(await upgradeStatus(listener.port, '/peerjs/peerjs?key=peerjs&id=c&token=t', { Origin: 'http://other.example' })).toBe(403);
    expect(await upgradeStatus(listener.port, '/peerjs/peerjs?key=peerjs&id=d&token=t', { Origin: 'null' })).toBe(403);
  });

  it('refuses an upgrade that names a host it does not go by, wherever it leads (NR1)', async () => {
    for (const path of ['/peerjs/peerjs?key=peerjs&id=r&token=t', '/relay/host', '/']) {
      expect(await upgradeStatus(listener.port, path, { Host: 'evil.example', Origin: 'http://evil.example' })).toBe(421);
    }
    expect(upgraded).toEqual([]);
  });

  it("leaves the relay's upgrades to the relay", async () => {
    expect(await upgradeStatus(listener.port, '/relay/host?x=1')).toBe(418);
    expect(upgraded).toEqual(['/relay/host?x=1']);
  });

  it('refuses an upgrade anywhere else, also beside a known prefix', async () => {
    expect(await upgradeStatus(listener.port, '/')).toBe(404);
    expect(await upgradeStatus(listener.port, '/relayed')).toBe(404);
  });

  it('survives a connection that is cut during its upgrade', async () => {
    const sent = request({ host: '127.0.0.1', port: listener.port, path: '/x', headers: { Connection: 'Upgrade', Upgrade: 'websocket' } });
    sent.on('error', () => undefined);
    sent.end();
    await once(sent, 'socket');
    sent.destroy();
    expect((await fetch(`http://127.0.0.1:${listener.port}/peerjs/peerjs/id`)).status).toBe(200);
  });
});

describe('the signalling server and strangers', () => {
  let listener: Listener;
  let signalling: Signalling;
  const errors: string[] = [];

  beforeEach(async () => {
    errors.length = 0;
    listener = await listen({ host: '127.0.0.1', port: 0, tls: null });
    signalling = createSignalling((error) => errors.push(error.message), callersOf(false));
    listener.serve(express().use('/peerjs', signalling.routes));
    dispatchUpgrades(listener.server, listener.allowsHost, (error) => errors.push(String(error)), { '/peerjs': signalling.upgrade });
  });
  afterEach(async () => {
    await listener.close();
    // The terminal is for the server's operator: nobody fills it from outside.
    expect(errors).toEqual([]);
  });

  type Message = { readonly type: string; readonly src?: string; readonly payload?: { readonly sdp?: string } };
  /** A peer that acts like PeerJS's and keeps all messages it received. */
  class Peer {
    readonly heard: Message[] = [];
    readonly socket: WebSocket;
    readonly id: string;
    readonly closed: Promise<unknown>;

    constructor(id: string, token: string) {
      this.id = id;
      this.socket = new WebSocket(`ws://127.0.0.1:${listener.port}/peerjs/peerjs?key=peerjs&id=${id}&token=${token}`);
      this.socket.on('error', () => undefined);
      this.socket.on('message', (data: RawData) => this.heard.push(JSON.parse((data as Buffer).toString()) as Message));
      this.closed = once(this.socket, 'close');
    }

    static async join(id: string, token = 'token'): Promise<Peer> {
      const peer = new Peer(id, token);
      await once(peer.socket, 'message');
      return peer;
    }

    offer(to: string, sdp: string): void {
      this.socket.send(JSON.stringify({ type: 'OFFER', dst: to, payload: { sdp } }));
    }

    /** Resolves once the server has read everything that this peer sent before. */
    async settled(): Promise<void> {
      const echoes = (): number => this.heard.filter(({ src }) => src === this.id).length;
      const before = echoes();
      this.offer(this.id, '');
      while (echoes() === before) await once(this.socket, 'message');
    }

    get offers(): number[] {
      return this.heard.filter(({ type, src }) => type === 'OFFER' && src !== this.id).map(({ payload }) => payload?.sdp?.length ?? 0);
    }
  }

  it('passes offers on, also to a peer that comes a moment later', async () => {
    const [a, b] = [await Peer.join('a'), await Peer.join('b')];
    a.offer('b', 'now');
    a.offer('c', 'later');
    await a.settled();
    const c = await Peer.join('c');
    await c.settled();
    await b.settled();
    expect([b.offers, c.offers]).toEqual([['now'.length], ['later'.length]]);
    expect(signalling.figures()).toMatchObject({ sockets: 3, absentBytes: 0, refusals: {} });
  });

  it('closes a socket that sends a message of many MiB, and passes nothing of it on (SG2)', async () => {
    const [stranger, receiver] = [await Peer.join('stranger'), await Peer.join('receiver')];
    stranger.offer('receiver', 'x'.repeat(16 * 1024 * 1024));
    await Promise.race([stranger.closed, once(receiver.socket, 'message')]);
    await receiver.settled();
    expect([receiver.offers, signalling.figures().refusals]).toEqual([[], { 'too-long': 1 }]);
  });

  it('closes a socket that sends a message in thousands of parts (SG2)', async () => {
    const stranger = await Peer.join('stranger');
    for (let part = 0; part < 2000; part++) stranger.socket.send(' ', { fin: false });
    await stranger.closed;
    expect(signalling.figures().refusals).toEqual({ 'too-long': 1 });
  });

  it('lets go of a peer that does not read, and keeps little for it (SG3)', async () => {
    const receiver = await Peer.join('receiver');
    receiver.socket.pause();
    for (let at = 0; at < 8; at++) {
      const stranger = await Peer.join(`stranger-${at}`);
      for (let count = 0; count < 64; count++) {
        stranger.offer('receiver', 'x'.repeat(60 * 1024));
        await stranger.settled();
        // The stranger's own echo may be on its way, too.
        expect(signalling.figures().waitingBytes).toBeLessThanOrEqual(MAX_WAITING_BYTES_PER_RECEIVER + 10_000);
      }
    }
    expect(signalling.figures().refusals['too-slow']).toBe(1);
    receiver.socket.resume();
    await receiver.closed;
    // What the system's own buffers held still arrives.
    expect(receiver.offers.length).toBeLessThan(8 * 64);
  });

  it('keeps little for a peer that is not there (SG4)', async () => {
    const stranger = await Peer.join('stranger');
    for (let count = 0; count < 64; count++) stranger.offer('nobody', 'x'.repeat(60 * 1024));
    await stranger.settled();
    const nobody = await Peer.join('nobody');
    await nobody.settled();
    const bytes = nobody.offers.reduce((sum, length) => sum + length, 0);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(MAX_ABSENT_BYTES_PER_PEER);
    expect(signalling.figures()).toMatchObject({ absentBytes: 0, refusals: { 'absent-full': 64 - nobody.offers.length } });
  });

  it('keeps one socket for each id and token, the newest; another token is told that the id is taken (SG1)', async () => {
    const older = await Peer.join('a');
    const thief = await Peer.join('a', 'another');
    await thief.closed;
    expect(thief.heard).toMatchObject([{ type: 'ID-TAKEN' }]);
    await older.settled();
    const newer = new Peer('a', 'token');
    await older.closed;
    const b = await Peer.join('b');
    b.offer('a', 'x');
    await once(newer.socket, 'message');
    expect(newer.offers).toEqual([1]);
  });

  it('refuses a name that no tab has, and counts it (SG1)', async () => {
    for (const name of [`id=${'a'.repeat(65)}&token=t`, 'id=a&id=%20&token=t', 'id=a', 'token=t'])
      expect(await upgradeStatus(listener.port, `/peerjs/peerjs?key=peerjs&${name}`)).toBe(400);
    expect(await upgradeStatus(listener.port, '/peerjs/peerjs?key=peerjs&id=a&token=t', { Origin: 'http://other.example' })).toBe(403);
    expect(signalling.figures().refusals).toEqual({ malformed: 4, origin: 1 });
  });

  it('closes a socket that sends what is no message, and says nothing of it in the terminal (SG2)', async () => {
    const stranger = await Peer.join('stranger');
    stranger.socket.send('null');
    await stranger.closed;
    expect(signalling.figures().refusals).toEqual({ malformed: 1 });
  });
});
