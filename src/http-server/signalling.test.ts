import { once } from 'node:events';
import { request } from 'node:http';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listen, type Listener } from './listener.ts';
import { createSignalling } from './signalling.ts';
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
    const signalling = createSignalling(() => undefined);
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

  it('leaves the relay\'s upgrades to the relay', async () => {
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
