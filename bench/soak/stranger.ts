/**
 * A client that knows none of the server's keys: raw sockets and requests, and the project's own clients for a room of
 * its own. Each stranger has its own loopback address, so that the limits of one do not affect another.
 */
import { connect, type Socket } from 'node:net';
import { request } from 'node:http';
import { WebSocket } from 'ws';
import { connectHost, type HostClient } from '../../src/net-relay/client/host-client.ts';
import { attachOwner, type OwnerPort, type PortNic } from '../../src/net-relay/client/port-client.ts';
import { socketOpener, type OpenSocket } from '../../src/net-relay/client/open-socket.ts';
import { RELAY_PROTOCOL_VERSION, type CreatedVm } from '../../src/net-relay/protocol/relay-protocol.ts';
import { disposable, type DisposableBag } from '../../src/shared/disposable.ts';
import type { HostId, LeaseEpoch, RoomName, VmId } from '../../src/shared/ids.ts';
import { pollFor } from '../../e2e/harness/poll-for.ts';
import { EchoNic } from './echo-nic.ts';

const OPEN_LIMIT_MS = 10_000;

export interface RoomHost {
  readonly client: HostClient;
  readonly credentials: { readonly room: RoomName; readonly key: string; readonly hostId: HostId; readonly hostToken: string };
}

export interface RoomVm {
  readonly vm: CreatedVm;
  readonly nic: EchoNic;
  readonly port: OwnerPort;
}

export class Stranger {
  readonly origin: string;
  readonly address: string;
  readonly openSocket: OpenSocket;

  /** `address`: one of 127/8. */
  constructor(origin: string, address: string) {
    this.origin = origin;
    this.address = address;
    class AddressedSocket extends WebSocket {
      constructor(url: string) {
        super(url, { localAddress: address });
      }
    }
    this.openSocket = socketOpener(AddressedSocket as unknown as typeof globalThis.WebSocket);
  }

  /** The first message of a host. */
  hello(room: string, hostId: string, key = keyOf(room)): string {
    return JSON.stringify({ type: 'hello', version: RELAY_PROTOCOL_VERSION, room, key, hostId, hostToken: tokenOf(hostId), name: hostId });
  }

  /** A socket that may fail: resolves with the socket when it is open, or with the status of the refusal. */
  socket(path: string, open: DisposableBag, headers: Readonly<Record<string, string>> = {}): Promise<WebSocket | number> {
    return new Promise((resolve) => {
      const socket = new WebSocket(this.origin.replace('http', 'ws') + path, { localAddress: this.address, headers, perMessageDeflate: false });
      open.add(disposable(() => socket.terminate()));
      socket.on('error', () => resolve(0));
      socket.on('unexpected-response', (_, response) => {
        resolve(response.statusCode ?? 0);
        socket.terminate();
      });
      socket.on('open', () => resolve(socket));
    });
  }

  /** As above, but already in the room as a host that answers heartbeats; a string is the cause of a refusal. */
  async rawHost(room: string, hostId: string, open: DisposableBag): Promise<WebSocket | string> {
    const socket = await this.socket('/relay/host', open);
    if (typeof socket === 'number') return `HTTP ${socket}`;
    return new Promise((resolve) => {
      socket.on('message', (data: Buffer) => {
        const text = data.subarray(0, 100).toString();
        if (text.includes('"heartbeat"')) socket.send(data.toString());
        else if (text.includes('"welcome"')) resolve(socket);
        else if (text.includes('"refused"')) resolve(/"cause":"([\w-]+)"/.exec(text)?.[1] ?? 'refused');
      });
      socket.on('close', () => resolve('closed'));
      socket.send(this.hello(room, hostId));
    });
  }

  /** The project's own client, connected. */
  async host(room: string, hostId: string, open: DisposableBag): Promise<RoomHost> {
    const credentials = { room: room as RoomName, key: keyOf(room), hostId: hostId as HostId, hostToken: tokenOf(hostId) };
    const client = open.add(connectHost({ url: `${this.origin}/relay/host`, ...credentials, name: hostId, openSocket: this.openSocket }));
    await pollFor(
      `host ${hostId} of room ${room} to be connected`,
      () => {
        if (client.state.kind === 'refused') throw new Error(client.state.reason);
        return client.state.kind === 'connected';
      },
      OPEN_LIMIT_MS,
    );
    return { client, credentials };
  }

  /** A VM with its port attached, that answers pings. */
  async vm(host: RoomHost, open: DisposableBag, name?: string): Promise<RoomVm> {
    const vm = await host.client.createVm({ name, memoryBytes: 128 * 1024 * 1024 });
    const nic = new EchoNic();
    const port = this.port(host, vm.vmId, vm.epoch, nic, open);
    await pollFor(`the port of ${vm.name} to be attached`, () => port.state.kind === 'connected', OPEN_LIMIT_MS);
    return { vm, nic, port };
  }

  port(host: RoomHost, vmId: string, epoch: number, nic: PortNic, open: DisposableBag): OwnerPort {
    return open.add(
      attachOwner({
        url: `${this.origin}/relay/port`,
        credentials: host.credentials,
        openSocket: this.openSocket,
        vmId: vmId as VmId,
        epoch: epoch as LeaseEpoch,
        nic,
      }),
    );
  }

  /** A raw connection that sends this text and then reads nothing by itself. */
  connection(text: string, open: DisposableBag): Socket {
    const { hostname, port } = new URL(this.origin);
    const socket = connect({ host: hostname, port: Number(port), localAddress: this.address, allowHalfOpen: true });
    open.add(disposable(() => socket.destroy()));
    socket.on('error', () => undefined);
    socket.write(text);
    return socket;
  }

  /** Status of the answer, and its text. */
  ask(
    path: string,
    { method = 'GET', headers = {}, body = '' }: { method?: string; headers?: Readonly<Record<string, string>>; body?: string } = {},
  ): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const asked = request(this.origin + path, { method, headers: { ...headers }, localAddress: this.address }, (answer) => {
        let text = '';
        answer.on('data', (data: Buffer) => (text += data.toString()));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      });
      asked.on('error', reject);
      asked.end(body);
    });
  }
}

export const keyOf = (room: string): string => `key-of-${room}-0123456789`;
const tokenOf = (hostId: string): string => `token-of-${hostId}-0123456789`;

/** Resolves once the socket has handed this to the kernel, or is closed. */
export function sent(socket: WebSocket, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => socket.send(data, () => resolve()));
}
