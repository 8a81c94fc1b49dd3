import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { sentenceForListenError } from './listen-error.ts';
import { listen } from './listener.ts';

describe('the listener', () => {
  it('says that it is being prepared until it is given a handler', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0, tls: null });
    const early = await fetch(`http://127.0.0.1:${listener.port}/`);
    expect(early.status).toBe(503);
    listener.serve((_request, response) => response.end('ready'));
    expect(await (await fetch(`http://127.0.0.1:${listener.port}/`)).text()).toBe('ready');
    await listener.close();
  });

  it('refuses a request that names a host it does not go by, and says how to allow it (NR1)', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0, tls: null, allowedHosts: ['nas'] });
    const status = async (host: string): Promise<[number, string]> => {
      const sent = request({ host: '127.0.0.1', port: listener.port, headers: { Host: host }, agent: false }).end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      return [response.statusCode ?? 0, await text(response)];
    };
    // A page that is still being prepared is no more open to other sites than a finished one.
    expect(await status('evil.example')).toEqual([421, expect.stringContaining('--allowed-host evil.example')]);
    listener.serve((_request, response) => response.end('ready'));
    expect(await status('evil.example:8686')).toEqual([421, expect.stringContaining('--allowed-host evil.example')]);
    expect(await status(`nas:${listener.port}`)).toEqual([200, 'ready']);
    expect(await status(`localhost:${listener.port}`)).toEqual([200, 'ready']);
    await listener.close();
  });

  it('refuses a taken port with the way out', async () => {
    const first = await listen({ host: '127.0.0.1', port: 0, tls: null });
    await expect(listen({ host: '127.0.0.1', port: first.port, tls: null })).rejects.toThrow(`Port ${first.port} is taken by another program`);
    await first.close();
  });

  it('closes although a connection was upgraded and stays open', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0, tls: null });
    listener.server.on('upgrade', (_request, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
    const client = connect(listener.port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await once(client, 'data');
    const closed = once(client, 'close');
    await listener.close();
    await closed;
  });

  it('refuses a certificate that is none', async () => {
    const nonsense = Buffer.from('nonsense');
    await expect(listen({ host: '127.0.0.1', port: 0, tls: { cert: nonsense, key: nonsense } })).rejects.toThrow('--tls');
  });

  it('says what to do about each reason a port cannot be opened', () => {
    const error = (code: string): Error => Object.assign(new Error(code), { code });
    expect(sentenceForListenError(error('EACCES'), '127.0.0.1', 80)).toContain('above 1023');
    expect(sentenceForListenError(error('EADDRNOTAVAIL'), '192.0.2.1', 80)).toContain('--host');
    expect(sentenceForListenError(error('ENOTFOUND'), 'nowhere', 80)).toContain('nowhere');
    expect(sentenceForListenError(error('EADDRINUSE'), '127.0.0.1', 8686)).toContain('npm start -- --port 8687');
  });
});
