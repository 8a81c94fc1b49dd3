/** A WebDriver BiDi connection: commands with an id, their answers, and events. */
import { once } from 'node:events';
import { WebSocket } from 'ws';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

type Heard =
  | { readonly type: 'success'; readonly id: number; readonly result: unknown }
  | { readonly type: 'error'; readonly id: number | null; readonly error: string; readonly message: string }
  | { readonly type: 'event'; readonly method: string; readonly params: unknown };

export class BidiConnection {
  private readonly socket: WebSocket;
  private readonly waiting = new Map<number, Waiting>();
  private readonly listeners: ((method: string, given: unknown) => void)[] = [];
  private lastId = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => this.receive(JSON.parse(data.toString('utf8')) as Heard));
    socket.on('close', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('The browser is gone.'));
      this.waiting.clear();
    });
  }

  static async open(address: string): Promise<BidiConnection> {
    const socket = new WebSocket(address);
    await once(socket, 'open');
    return new BidiConnection(socket);
  }

  get isClosed(): boolean {
    return this.socket.readyState !== WebSocket.OPEN;
  }

  /** Rejects with what the browser says about it. */
  async send(method: string, params: object): Promise<unknown> {
    if (this.isClosed) throw new Error('The browser is gone.');
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  onEvent(listener: (method: string, given: unknown) => void): void {
    this.listeners.push(listener);
  }

  close(): void {
    this.socket.close();
  }

  private receive(heard: Heard): void {
    if (heard.type === 'event') {
      for (const listener of this.listeners) listener(heard.method, heard.params);
      return;
    }
    const waiting = this.waiting.get(heard.id ?? 0);
    this.waiting.delete(heard.id ?? 0);
    if (heard.type === 'success') waiting?.resolve(heard.result);
    else waiting?.reject(new Error(`${heard.error}: ${heard.message}`));
  }
}
