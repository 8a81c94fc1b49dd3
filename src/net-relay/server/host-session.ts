/** An admitted host socket: what one tab asks of its room, and what the room tells it. */
import { assertNever } from '../../shared/assert-never.ts';
import type { HostId } from '../../shared/ids.ts';
import type { Attempt } from '../protocol/attempt.ts';
import type { ClientConnection } from './client-connection.ts';
import { MAX_TEXT_MESSAGE_BYTES, type HostToRelay, type hostToRelaySchema, type RelayToHost } from '../protocol/relay-protocol.ts';
import { REFUSALS } from './refusals.ts';
import type { EncodedText } from '../protocol/relay-wire.ts';
import type { EndOfSession, HostVoice } from './room-hosts.ts';
import { StoreRefusal } from '../store/key-value-store.ts';
import { RequestRefused } from './request-refused.ts';
import type { Room } from './room.ts';

export type HostConnection = ClientConnection<typeof hostToRelaySchema, RelayToHost>;

export class HostSession implements HostVoice<RelayToHost> {
  readonly attempt: Attempt | undefined;
  private readonly connection: HostConnection;
  private readonly room: Room;
  private readonly hostId: HostId;
  private readonly address: string | null;

  /** `address`: the host's address, for limits per address. */
  constructor(connection: HostConnection, room: Room, hostId: HostId, attempt?: Attempt, address: string | null = null) {
    this.address = address;
    this.attempt = attempt;
    this.connection = connection;
    this.room = room;
    this.hostId = hostId;
    connection.onMessage = (message) => this.receive(message);
    connection.onBinary = () => {
      connection.count('binary-on-host-socket');
      connection.refuse({ cause: 'malformed', reason: 'A host socket carries text only.' });
    };
    connection.onClosed = (orderly) => {
      if (room.hosts.leave(hostId, this, orderly)) room.changed();
    };
  }

  send(message: RelayToHost): void {
    this.connection.send(message);
  }

  sendEncoded(message: EncodedText<RelayToHost>): void {
    this.connection.sendEncoded(message);
  }

  end(cause: EndOfSession): void {
    this.connection.refuse({ cause, reason: REFUSALS[cause] });
  }

  private receive(message: HostToRelay): void {
    switch (message.type) {
      case 'hello':
        this.connection.refuse({ cause: 'malformed', reason: 'This host has said hello already.' });
        return;
      case 'create-vm':
        this.answer(message.requestId, () => this.room.createVm(this.hostId, message.requestId, message, this.address));
        return;
      case 'vm-state':
        this.room.setVmState(this.hostId, message.vmId, message.epoch, message.state);
        return;
      case 'destroy-vm':
        this.answer(message.requestId, () => {
          this.room.destroyVm(this.hostId, message.vmId, message.epoch, message.ending);
          return null;
        });
        return;
      case 'forget-vm':
        this.answer(message.requestId, () => {
          this.room.forgetVm(message.vmId, message.epoch);
          return null;
        });
        return;
      case 'dismiss-ended':
        this.answer(message.requestId, () => {
          this.room.dismissEnded(message.vmIds);
          return null;
        });
        return;
      case 'to-host':
        this.toHost(message.hostId as HostId, message.body);
        return;
      case 'to-room':
        this.toRoom(message.body);
        return;
      case 'heartbeat':
        return;
      default:
        assertNever(message);
    }
  }

  private toRoom(body: unknown): void {
    const characters = this.lengthOf(body);
    if (characters === null) return;
    const receivers = this.room.hosts.voiceCount - 1;
    this.connection.charge(receivers, receivers * characters);
    this.room.toRoom(this.hostId, { type: 'from-host', hostId: this.hostId, body });
  }

  private toHost(to: HostId, body: unknown): void {
    const characters = this.lengthOf(body);
    if (characters === null) return;
    const voice = this.room.hosts.voice(to);
    if (voice === null) this.send({ type: 'undeliverable', hostId: to, body });
    else this.room.toHost(voice, { type: 'from-host', hostId: this.hostId, body }, characters);
  }

  /** Its length as JSON, in characters. Null, and the socket closes, if it cannot be passed on: JSON nested thousands deep can be parsed but not serialised. */
  private lengthOf(body: unknown): number | null {
    try {
      // Absent is valid for v.unknown(), and nothing to deliver.
      const text = JSON.stringify(body) as string | undefined;
      if (text !== undefined && text.length <= MAX_TEXT_MESSAGE_BYTES) return text.length;
    } catch {
      // Falls through to the refusal.
    }
    this.connection.count('unknown-message');
    this.connection.refuse({ cause: 'malformed', reason: 'The relay cannot pass this body on.' });
    return null;
  }

  /** Performs a request once, however often it comes. */
  private answer(requestId: number, perform: () => unknown): void {
    const earlier = this.room.hosts.remembered(this.hostId, requestId);
    if (earlier !== undefined) {
      this.send(earlier);
      return;
    }
    let reply: RelayToHost;
    try {
      reply = { type: 'reply', requestId, ok: true, value: perform() };
    } catch (error) {
      if (!(error instanceof RequestRefused) && !(error instanceof StoreRefusal)) throw error;
      reply =
        error instanceof StoreRefusal
          ? { type: 'reply', requestId, ok: false, reason: error.sentence, cause: 'not-stored' }
          : { type: 'reply', requestId, ok: false, reason: error.message };
    }
    this.room.hosts.remember(this.hostId, requestId, reply);
    this.send(reply);
  }
}
