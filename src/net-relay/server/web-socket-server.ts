/** The only file that knows `ws`: accepts upgrades and shows each WebSocket as a ServerSocket. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import type { Clock } from '../../shared/clock.ts';
import { FairTurns, Reading } from './fair-turns.ts';
import { MAX_BINARY_MESSAGE_BYTES, MAX_TEXT_MESSAGE_BYTES } from '../protocol/relay-protocol.ts';
import type { ServerSocket, ServerSocketEvents } from './server-socket.ts';
import { systemClock } from '../../shared/system-clock.ts';

/** A peer that was told to close has this long to answer; then its descriptor is freed. `ws` itself waits for 30 s. */
export const CLOSE_LIMIT_MS = 3000;
/** Close codes of a page that was closed, left or reloaded, or whose script said goodbye. */
const ORDERLY_CODES: readonly number[] = [1000, 1001];

/** The most fragments that one message may have. Browsers send a long one in a few; each fragment costs some 200 bytes besides its own. */
const MAX_FRAGMENTS = 1024;
/** The most chunks of one fragment, as TCP delivers them: 256 KiB in packets of 536 bytes are 490. */
const MAX_CHUNKS = 4096;

const TOO_LONG_CODES: readonly unknown[] = ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH', 'WS_ERR_TOO_MANY_BUFFERED_PARTS'];

export interface WebSocketAcceptor {
  /** Completes the handshake; `connect` gets the socket and returns what it wants to hear. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, connect: (socket: ServerSocket) => ServerSocketEvents): void;
  dispose(): void;
}

export interface AcceptorOptions {
  /** A socket that sends a longer message is closed. */
  readonly maxMessageBytes: number;
  /** A message was too long, or came in too many parts. */
  readonly onTooLong?: () => void;
}

const RELAY_MESSAGES: AcceptorOptions = { maxMessageBytes: Math.max(MAX_BINARY_MESSAGE_BYTES, MAX_TEXT_MESSAGE_BYTES) };

export function createWebSocketAcceptor(clock: Pick<Clock, 'setTimeout'> = systemClock, options: AcceptorOptions = RELAY_MESSAGES): WebSocketAcceptor {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // Frames are small and often already compressed; deflate would cost more time than it saves bytes.
    perMessageDeflate: false,
    maxPayload: options.maxMessageBytes,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_CHUNKS,
  });
  const turns = new FairTurns();
  return {
    accept(request, socket, head, connect) {
      // A peer that resets the connection during the handshake must not end the process.
      socket.on('error', () => socket.destroy());
      server.handleUpgrade(request, socket, head, (webSocket) => {
        const reading = new Reading(turns, webSocket);
        const events = connect(wrap(webSocket, reading, clock));
        webSocket.on('message', (data, isBinary) => {
          const bytes = toBytes(data);
          reading.hear(() => (isBinary ? events.binary(bytes) : events.text(bytes.toString('utf8'))));
        });
        // Too long a payload, bad UTF-8, bad framing: ws closes the socket itself and reports it here first.
        webSocket.on('error', (error: Error & { readonly code?: string }) => {
          if (TOO_LONG_CODES.includes(error.code)) options.onTooLong?.();
          webSocket.terminate();
        });
        webSocket.on('close', (code) => reading.close(() => events.closed(ORDERLY_CODES.includes(code))));
      });
    },
    dispose() {
      server.close();
    },
  };
}

function toBytes(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

function wrap(webSocket: WebSocket, reading: Reading, clock: Pick<Clock, 'setTimeout'>): ServerSocket {
  return {
    get backlogBytes() {
      return webSocket.bufferedAmount;
    },
    // A socket that closes in between reports through `close`; the callback keeps ws from throwing.
    sendText: (text, onSent) => webSocket.send(text, { binary: false }, () => onSent?.()),
    sendUtf8: (utf8) => webSocket.send(utf8, { binary: false }, () => undefined),
    sendBinary: (bytes) => webSocket.send(bytes, { binary: true }, () => undefined),
    pause: () => reading.pause(),
    resume: () => reading.resume(),
    close: (code, reason) => {
      if (webSocket.readyState === webSocket.CLOSED) return;
      reading.end();
      const limit = clock.setTimeout(() => webSocket.terminate(), CLOSE_LIMIT_MS);
      webSocket.once('close', () => limit.dispose());
      webSocket.close(code, reason);
    },
    terminate: () => webSocket.terminate(),
  };
}
