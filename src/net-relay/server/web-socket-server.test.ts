import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { EventEmitter, once } from 'node:events';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket, type RawData } from 'ws';
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import { MAX_TEXT_MESSAGE_BYTES, RELAY_PROTOCOL_VERSION } from '../protocol/relay-protocol.ts';
import { RelayHarness, until } from '../testing/relay-harness.ts';
import type { ServerSocket } from './server-socket.ts';
import { CLOSE_LIMIT_MS, createWebSocketAcceptor } from './web-socket-server.ts';

let harness: RelayHarness;
beforeEach(async () => {
  harness = await RelayHarness.start();
});
afterEach(() => harness[Symbol.asyncDispose]());

const hello = (): string =>
  JSON.stringify({
    type: 'hello',
    version: RELAY_PROTOCOL_VERSION,
    room: 'default',
    key: harness.relay.defaultRoomKey,
    hostId: 'x',
    hostToken: 'a-token-0123456789',
    name: 'x',
  });

async function opened(options: { origin?: string } = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${harness.port}/relay/host`, options);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}
const message = async (socket: WebSocket): Promise<unknown> => {
  const [data] = (await once(socket, 'message')) as [RawData];
  return JSON.parse((data as Buffer).toString()) as unknown;
};
const closed = async (socket: WebSocket): Promise<number> => {
  if (socket.readyState === WebSocket.CLOSED) return 0;
  const [code] = (await once(socket, 'close')) as [number];
  return code;
};

it('negotiates no compression: frames gain nothing by it', async () => {
  const socket = await opened();
  expect(socket.extensions).toBe('');
  socket.terminate();
});

it('refuses a page of a foreign origin by name; its own origin, and programs without one, may come (NR1)', async () => {
  const foreign = new WebSocket(`ws://127.0.0.1:${harness.port}/relay/host`, { origin: 'http://evil.example' });
  expect(await message(foreign)).toMatchObject({ type: 'refused', cause: 'origin' });
  await closed(foreign);
  for (const origin of [undefined, `http://127.0.0.1:${harness.port}`]) {
    const socket = await opened(origin === undefined ? {} : { origin });
    socket.send(hello());
    expect(await message(socket)).toMatchObject({ type: 'welcome' });
    const gone = closed(socket);
    socket.close(1000);
    await gone;
  }
});

it('closes a socket that sends more than a message may have, and stays well (A10)', async () => {
  const socket = await opened();
  socket.send(hello());
  await message(socket);
  socket.send('x'.repeat(MAX_TEXT_MESSAGE_BYTES + 1));
  expect([1006, 1009]).toContain(await closed(socket));
  expect((await harness.host('after')).client.state.kind).toBe('connected');
});

it('gives back the descriptor of a refused socket whose other side never closes (NR1)', async () => {
  const clock = new VirtualClock();
  const acceptor = createWebSocketAcceptor(clock);
  const server = createServer().listen(0, '127.0.0.1');
  server.on('upgrade', (request, socket, head) =>
    acceptor.accept(request, socket, head, (refused) => {
      refused.close(4400, 'refused');
      return { text: () => undefined, binary: () => undefined, closed: () => undefined };
    }),
  );
  await once(server, 'listening');
  const taken = once(server, 'connection');
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  const [ours] = (await taken) as [Socket];
  await once(socket, 'data');
  const gone = once(ours, 'close');
  expect(clock.nextAt).toBe(clock.now() + CLOSE_LIMIT_MS);
  clock.fireNext();
  await gone;
  expect(clock.pending).toBe(0);
  socket.destroy();
  server.close();
  acceptor.dispose();
});

it('survives sockets that speak no WebSocket, or stop in the middle of it (A10)', async () => {
  const raw = async (text: string): Promise<Socket> => {
    const socket = connect(harness.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.resume();
    socket.write(text);
    return socket;
  };
  const upgrade = 'GET /relay/host HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
  const bad = [
    await raw(`${upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: nonsense\r\n\r\n`),
    await raw(`${upgrade}Sec-WebSocket-Version: 1\r\n\r\n`),
    await raw('GET /relay/other HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
  ];
  for (const socket of bad) if (!socket.closed) await once(socket, 'close');
  // A right handshake, then bytes that are no frames.
  const good = await raw(`${upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
  await once(good, 'data');
  good.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
  await once(good, 'close');
  const half = await raw(`${upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
  await once(half, 'data');
  half.destroy();
  const { client } = await harness.host('after');
  await until(() => client.state.kind === 'connected', { on: (listener) => client.onState(listener) });
});

it('hears nothing while it is paused, and then everything in order, what had come in one piece as well (NR37)', async () => {
  const acceptor = createWebSocketAcceptor();
  const server = createServer().listen(0, '127.0.0.1');
  const heard: string[] = [];
  let ours: ServerSocket | null = null;
  const hearings = new EventEmitter();
  server.on('upgrade', (request, socket, head) =>
    acceptor.accept(request, socket, head, (accepted) => {
      ours = accepted;
      return {
        binary: () => undefined,
        closed: () => undefined,
        text: (text) => {
          heard.push(text);
          if (heard.length % 3 === 0) accepted.pause();
          hearings.emit(text);
        },
      };
    }),
  );
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await once(socket, 'data');
  const frame = (letter: string): Buffer => Buffer.from([0x81, 0x81, 0, 0, 0, 0, letter.charCodeAt(0)]);
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const third = once(hearings, 'c');
  socket.write(Buffer.concat('a b c d e f g h'.split(' ').map(frame)));
  await third;
  await turns();
  expect(heard.join('')).toBe('abc');
  const sixth = once(hearings, 'f');
  ours!.resume();
  await sixth;
  await turns();
  expect(heard.join('')).toBe('abcdef');
  const eighth = once(hearings, 'h');
  ours!.resume();
  await eighth;
  const ninth = once(hearings, 'i');
  socket.write(frame('i'));
  await ninth;
  expect(heard.join('')).toBe('abcdefghi');
  socket.destroy();
  server.close();
  acceptor.dispose();
});
