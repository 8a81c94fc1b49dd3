/**
 * The hosts of one room: who is here, who is away for a moment, and the secret of each id. A host that says goodbye
 * leaves at once; one whose connection broke is still shown for a while, because it is most likely on its way back.
 */
import type { HostId } from '../../shared/ids.ts';
import type { Attempt } from '../protocol/attempt.ts';
import type { HostInfo } from '../protocol/relay-protocol.ts';
import type { Note } from '../../shared/trace.ts';
import type { EncodedText } from '../protocol/relay-wire.ts';
import { MAX_HOSTS, MAX_REPLIES } from '../limits/server-limits.ts';

/** A host may be away for this many beats of a second before it is shown as gone. */
const AWAY_BEATS = 10;
/** The longest name of a host (relay-protocol.ts). */
const MAX_NAME_LENGTH = 64;

/** The channel to a host: its session. */
export interface HostVoice<Message> {
  readonly attempt?: Attempt | undefined;
  send(message: Message): void;
  sendEncoded(message: EncodedText<Message>): void;
  /** Tells the host why, and closes its socket. */
  end(cause: EndOfSession): void;
}

/** Why a session ends although its host would stay. */
export type EndOfSession = 'replaced' | 'removed' | 'room-closed';

interface Host<Message> {
  readonly id: HostId;
  readonly tokenDigest: string;
  /** The name that is shown, and the name that the host gave; null until it joins: after a restart only its token is known. */
  name: string | null;
  wish: string | null;
  voice: HostVoice<Message> | null;
  /** null: not shown, only its token is remembered. */
  awayBeats: number | null;
  readonly replies: Map<number, Message>;
}

export class RoomHosts<Message> {
  private readonly hosts = new Map<HostId, Host<Message>>();
  private readonly note: Note;

  /** `note`: adds to the room's trace. */
  constructor(note: Note = () => undefined) {
    this.note = note;
  }

  /** Remembers the token of a host id; false if the id belongs to another token, or there are too many. */
  admit(id: HostId, tokenDigest: string): 'ok' | 'host-id-taken' | 'room-full' {
    const known = this.hosts.get(id);
    if (known !== undefined) return known.tokenDigest === tokenDigest ? 'ok' : 'host-id-taken';
    if (this.hosts.size >= MAX_HOSTS * 2) return 'room-full';
    this.hosts.set(id, { id, tokenDigest, name: null, wish: null, voice: null, awayBeats: null, replies: new Map() });
    return 'ok';
  }

  /** The host has a session now, which replaces an older one. Its name is made unique among those shown. False if the room is full. */
  join(id: HostId, name: string, voice: HostVoice<Message>): boolean {
    const host = this.hosts.get(id);
    if (host === undefined) throw new Error('A host joins that was not admitted');
    if (!isShown(host) && this.list().length >= MAX_HOSTS) return false;
    const older = host.voice;
    host.voice = voice;
    if (host.wish !== name || this.isTaken(host.name ?? '', id)) host.name = this.freeName(name, id);
    host.wish = name;
    host.awayBeats = null;
    this.note(host.name ?? name, `joined as ${id}${older === null ? '' : ', in place of an older connection'}`);
    older?.end('replaced');
    return true;
  }

  /** True if that changed who is shown. */
  leave(id: HostId, voice: HostVoice<Message>, orderly: boolean): boolean {
    const host = this.hosts.get(id);
    if (host?.voice !== voice) return false;
    host.voice = null;
    host.awayBeats = orderly ? null : 0;
    this.note(host.name ?? id, orderly ? 'left' : 'its connection broke');
    return orderly;
  }

  /** The host's tab is back as another host: this one is not shown any more, its session ends. If not `gone`, an open session stays. Ignores a wrong token. */
  supersede(id: HostId, tokenDigest: string, gone: boolean): void {
    const host = this.hosts.get(id);
    if (host?.tokenDigest !== tokenDigest || !isShown(host) || (!gone && host.voice !== null)) return;
    const { voice } = host;
    host.voice = null;
    host.awayBeats = null;
    this.note(host.name ?? id, 'left: its tab comes back');
    voice?.end('replaced');
  }

  /** Forgets the host and its token, and ends its session. */
  remove(id: HostId, cause: EndOfSession): void {
    const voice = this.voice(id);
    this.note(this.nameOf(id) ?? id, cause);
    this.hosts.delete(id);
    voice?.end(cause);
  }

  voice(id: HostId): HostVoice<Message> | null {
    return this.hosts.get(id)?.voice ?? null;
  }

  *voices(): Generator<[HostId, HostVoice<Message>]> {
    for (const host of [...this.hosts.values()]) if (host.voice !== null) yield [host.id, host.voice];
  }

  get voiceCount(): number {
    let count = 0;
    for (const host of this.hosts.values()) if (host.voice !== null) count += 1;
    return count;
  }

  isPresent(id: HostId): boolean {
    const host = this.hosts.get(id);
    return host !== undefined && isShown(host);
  }

  /** The name of the host here, also while it is away; null if it was never here in the relay's lifetime. */
  nameOf(id: HostId): string | null {
    return this.hosts.get(id)?.name ?? null;
  }

  /** `wish`, with a number after it if another host has that name. */
  private freeName(wish: string, id: HostId): string {
    for (let number = 1; ; number++) {
      const suffix = number === 1 ? '' : ` ${number}`;
      const name = wish.slice(0, MAX_NAME_LENGTH - suffix.length) + suffix;
      if (!this.isTaken(name, id)) return name;
    }
  }

  /** For people, names that differ only in upper and lower case are the same. */
  private isTaken(name: string, besides: HostId): boolean {
    return [...this.hosts.values()].some((host) => host.id !== besides && isShown(host) && host.name?.toLowerCase() === name.toLowerCase());
  }

  tokenDigest(id: HostId): string | undefined {
    return this.hosts.get(id)?.tokenDigest;
  }

  list(): HostInfo[] {
    return [...this.hosts.values()].filter(isShown).map(({ id, name }) => ({ id, name: name ?? id }));
  }

  remember(id: HostId, requestId: number, reply: Message): void {
    const replies = this.hosts.get(id)?.replies;
    if (replies === undefined) return;
    replies.set(requestId, reply);
    for (const oldest of replies.keys()) {
      if (replies.size <= MAX_REPLIES) break;
      replies.delete(oldest);
    }
  }

  remembered(id: HostId, requestId: number): Message | undefined {
    return this.hosts.get(id)?.replies.get(requestId);
  }

  /** Once a second. `needed`: the id still means something, e.g. owns a VM. True if that changed who is shown. */
  beat(needed: (id: HostId) => boolean): boolean {
    let changed = false;
    for (const host of this.hosts.values()) {
      if (host.awayBeats !== null) {
        host.awayBeats += 1;
        if (host.awayBeats >= AWAY_BEATS) {
          host.awayBeats = null;
          changed = true;
        }
      }
      if (!isShown(host) && !needed(host.id)) this.hosts.delete(host.id);
    }
    return changed;
  }
}

function isShown<Message>(host: Host<Message>): boolean {
  return host.voice !== null || host.awayBeats !== null;
}
