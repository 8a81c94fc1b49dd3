/** A WebSocket as the relay's clients use it: handed in, so that tests and other runtimes bring their own. */
export interface ClientSocketEvents {
  opened(): void;
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  /** Called once, whether the socket had opened or not. */
  closed(): void;
}

export interface ClientSocket {
  /** Bytes accepted by send() that have not left yet. */
  readonly backlogBytes: number;
  /** Only after `opened`. */
  send(data: string | Uint8Array<ArrayBuffer>): void;
  /** Allowed before the socket has opened, too; `closed` follows. */
  close(): void;
}

export type OpenSocket = (url: string, events: ClientSocketEvents) => ClientSocket;

/** Takes the standard WebSocket constructor, as browsers and `ws` have it. */
export function socketOpener(WebSocketClass: typeof WebSocket): OpenSocket {
  return (url, events) => {
    const socket = new WebSocketClass(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }: { data: unknown }) => {
      if (typeof data === 'string') events.text(data);
      else if (data instanceof ArrayBuffer) events.binary(new Uint8Array(data));
    };
    // The error event tells a page nothing; `close` follows.
    socket.onerror = () => undefined;
    socket.onclose = () => events.closed();
    return {
      get backlogBytes() {
        return socket.bufferedAmount;
      },
      send: (data) => socket.send(data),
      close: () => socket.close(1000),
    };
  };
}

/** The runtime's own WebSocket (browser page or worker). */
export const openBrowserSocket: OpenSocket = (url, events) => socketOpener(WebSocket)(url, events);

/** `http(s):` addresses become `ws(s):` ones; older browsers do not do that by themselves. */
export function webSocketUrl(url: string): string {
  return url.replace(/^http(s?):/i, 'ws$1:');
}
