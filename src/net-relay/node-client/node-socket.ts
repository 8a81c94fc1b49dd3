/** The relay's clients in Node, which has no WebSocket of its own in all the versions that are supported. */
import { WebSocket as NodeWebSocket } from 'ws';
import { socketOpener, type OpenSocket } from '../client/open-socket.ts';

export const openNodeSocket: OpenSocket = socketOpener(NodeWebSocket as unknown as typeof WebSocket);
