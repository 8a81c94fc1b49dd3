/**
 * How this tab reaches the other hosts. Connections are tried when hosts meet, not when Migrate is pressed; so opening a
 * migration's lanes takes one exchange through the relay. The first choice is WebRTC, then a direct channel between tabs
 * of one browser, then the relay itself.
 */
import { openDataChannelLane } from '../link/data-channel-lane.ts';
import type { LocalPresence } from '../link/local-presence.ts';
import type { LaneChannels, PeerConnections } from '../link/peer-connections.ts';
import { bridgeToPort } from '../link/port-lane.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { LinkKind } from '../migration/report.ts';
import { repeat } from '../shared/repeat.ts';
import type { Clock } from '../shared/clock.ts';
import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { HostMessage, HostMessageOf } from './host-messages.ts';
import { linkIdOf } from '../link/link-id.ts';
import { randomId } from './random.ts';
import type { MigrationEnds } from '../vm-host/vm-worker-messages.ts';

/** Hosts connected ahead of time; in a larger room the rest are connected when somebody migrates to them. */
const MAX_CONNECTED_AHEAD = 8;
/** How long the other host may take to open its ends. Starts again when the server answers again. */
const OPEN_LIMIT_MS = 30_000;
/** Either host may be cut off for a moment without noticing, so a request or its answer can be lost. */
const ASK_AGAIN_MS = 500;
const UNREACHABLE = 'The other host cannot be reached: its tab is closed, frozen or has lost its connection.';
/** Links that other hosts opened to this one, and may ask for again. */
const MAX_ANSWERED = 64;
/** Pause before a failed attempt is repeated automatically. */
const RETRY_MS = 30_000;
/** Data channel ids: PeerJS uses the lowest ones; each migration takes two, and the two hosts never choose the same. */
const FIRST_CHANNEL = 16;
const CHANNEL_TURNS = 240;

/**
 * Hands a link to a worker. It is called with data channels first; if the browser cannot transfer them (DataCloneError),
 * it is called again with the lanes bridged over message ports.
 */
export type HandOver = (ends: MigrationEnds) => void;

/** Which of a migration's links is opened. */
export interface LinkAttempt {
  /** 0 for the first link; each later one replaces a link that died. */
  readonly attempt: number;
  /** The kind that died. */
  readonly avoid: LinkKind | null;
}

const FIRST_LINK: LinkAttempt = { attempt: 0, avoid: null };

/** The caller that waits for a link to open. */
export interface LinkWaiter {
  /** Aborted: nobody waits any more. */
  readonly signal: AbortSignal;
  /** The target is still loading the guest and has this share of it. */
  readonly targetLoading: (share: number) => void;
}

/** A target's answer: its end is open, or it is still loading the guest and has this share of it. */
export type Acceptance = 'open' | { readonly loaded: number };

interface Opening {
  readonly targetId: HostId;
  readonly message: HostMessageOf<'open-link'>;
  readonly handOver: HandOver;
  readonly waiter: LinkWaiter;
  readonly resolve: (kind: LinkKind) => void;
  readonly reject: (error: MigrationError) => void;
  readonly again: Disposable;
  limit: Disposable;
  /** This tab was cut off while opening. If the other host is not in the room yet, that does not mean that it left. */
  wasCutOff: boolean;
  /** A request came back as undeliverable. */
  undelivered: boolean;
}

export interface HostLinksOptions {
  readonly self: HostId;
  readonly clock: Clock;
  /** Null where the browser has no WebRTC. */
  readonly connections: PeerConnections | null;
  readonly presence: LocalPresence | null;
  readonly send: (to: HostId, message: HostMessage) => void;
  /** This tab is the target: hand the ends to a new VM worker in this task, or say what is missing. Throws a sentence to refuse. */
  readonly accept: (from: HostId, migrationId: MigrationId, vmId: VmId, attempt: number, hand: (handOver: HandOver) => void) => Acceptance;
  /** This tab should have become the target, but the source gave up before it sent anything. */
  readonly abandoned: (from: HostId, migrationId: MigrationId) => void;
}

export class HostLinks implements Disposable {
  readonly changed = new Emitter<void>();
  private readonly options: HostLinksOptions;
  private readonly known = new Set<HostId>();
  private readonly openings = new Map<MigrationId, Opening>();
  private readonly bag = new DisposableBag();
  private readonly retries = new Map<HostId, Disposable>();
  private readonly answered = new Set<string>();
  private turn = 0;
  private isCutOff = false;
  private refusal: string | null = null;

  constructor(options: HostLinksOptions) {
    this.options = options;
    if (options.connections !== null) {
      this.bag.add(
        options.connections.changed.on((hostId) => {
          if (options.connections?.state(hostId) === 'failed') this.retryLater(hostId);
          this.changed.emit();
        }),
      );
    }
    if (options.presence !== null) this.bag.add(options.presence.changed.on(() => this.changed.emit()));
  }

  /** The room's other hosts, as the relay lists them. */
  meet(hosts: readonly HostId[]): void {
    const present = new Set(hosts);
    for (const hostId of this.known) {
      if (present.has(hostId)) continue;
      this.known.delete(hostId);
      this.retries.get(hostId)?.dispose();
      this.retries.delete(hostId);
      this.options.connections?.forget(hostId);
    }
    for (const hostId of hosts) {
      if (hostId === this.options.self || this.known.has(hostId)) continue;
      this.known.add(hostId);
      if (this.known.size <= MAX_CONNECTED_AHEAD && this.options.self < hostId) this.connect(hostId);
    }
  }

  /** The server does not answer. */
  cutOff(): void {
    this.isCutOff = true;
    for (const opening of this.openings.values()) opening.wasCutOff = true;
  }

  /** It answers again. */
  returned(): void {
    this.isCutOff = false;
    for (const [migrationId, opening] of this.openings) {
      opening.limit.dispose();
      opening.limit = this.openLimit(migrationId);
      this.ask(opening);
    }
  }

  /** The server has refused this tab for good, with this sentence: this tab can no longer ask other hosts. */
  refused(reason: string): void {
    this.refusal = reason;
    for (const migrationId of [...this.openings.keys()]) this.giveUp(migrationId, new MigrationError('relay-lost', reason));
  }

  /** The link a migration to this host would use now; 'trying' while none is ready. */
  kindFor(hostId: HostId): LinkKind | 'trying' {
    if (this.options.connections?.state(hostId) === 'open') return 'webrtc';
    if (this.options.presence?.has(hostId) === true) return 'local';
    const state = this.options.connections?.state(hostId) ?? 'failed';
    return state === 'none' || state === 'trying' ? 'trying' : 'relay';
  }

  /**
   * Opens the lanes of a migration to `targetId` and hands over this tab's ends. Resolves with the link's kind; rejects
   * with a MigrationError, and at once with 'cancelled' when the waiter's signal aborts. If the target is still loading
   * the guest, this waits for as long as the target says so.
   */
  async open(
    targetId: HostId,
    migrationId: MigrationId,
    vmId: VmId,
    handOver: HandOver,
    waiter: LinkWaiter,
    { attempt, avoid }: LinkAttempt = FIRST_LINK,
  ): Promise<LinkKind> {
    const kind = avoid === null ? await this.ready(targetId) : this.otherThan(avoid, targetId);
    if (waiter.signal.aborted) throw new MigrationError('cancelled');
    if (this.refusal !== null) throw new MigrationError('relay-lost', this.refusal);
    const channelBase = FIRST_CHANNEL + (this.turn++ % CHANNEL_TURNS) * 4 + (this.options.self < targetId ? 0 : 2);
    const message: HostMessageOf<'open-link'> = { type: 'open-link', migrationId, vmId, attempt, kind, channelBase };
    return new Promise((resolve, reject) => {
      const opening: Opening = {
        targetId,
        message,
        handOver,
        waiter,
        resolve,
        reject,
        again: repeat(this.options.clock, ASK_AGAIN_MS, () => this.ask(opening)),
        limit: this.openLimit(migrationId),
        wasCutOff: this.isCutOff,
        undelivered: false,
      };
      this.openings.set(migrationId, opening);
      waiter.signal.addEventListener(
        'abort',
        () => {
          if (this.openings.get(migrationId) === opening) this.giveUp(migrationId, new MigrationError('cancelled'));
        },
        { once: true },
      );
      this.ask(opening);
    });
  }

  receive(
    from: HostId,
    message: HostMessageOf<'rtc-invite' | 'rtc-expected' | 'open-link' | 'link-opened' | 'link-refused' | 'link-waits' | 'link-abandoned'>,
  ): void {
    switch (message.type) {
      case 'rtc-invite':
        if (this.options.connections?.expect(from, message.nonce) === true) this.options.send(from, { type: 'rtc-expected', nonce: message.nonce });
        break;
      case 'rtc-expected':
        this.options.connections?.expected(from, message.nonce);
        break;
      case 'open-link':
        this.answer(from, message);
        break;
      case 'link-opened':
      case 'link-refused':
        this.finish(from, message);
        break;
      case 'link-waits':
        this.targetWaits(from, message);
        break;
      case 'link-abandoned':
        this.options.abandoned(from, message.migrationId);
        break;
    }
  }

  /** The relay could not deliver a message of ours to this host. */
  undeliverable(to: HostId, message: HostMessageOf<'open-link'>): void {
    const opening = this.openings.get(message.migrationId);
    if (opening?.targetId !== to) return;
    opening.undelivered = true;
    // The relay keeps listing a host for a while after it was cut off: it may be back any moment.
    if (this.isCutOff || opening.wasCutOff || this.known.has(to)) return;
    this.giveUp(message.migrationId, new MigrationError('unknown-host', UNREACHABLE));
  }

  dispose(): void {
    for (const id of [...this.openings.keys()]) this.giveUp(id, new MigrationError('cancelled', 'This tab is closing.'));
    for (const retry of this.retries.values()) retry.dispose();
    this.bag.dispose();
    this.changed.dispose();
    this.options.connections?.dispose();
    this.options.presence?.dispose();
  }

  private connect(hostId: HostId): void {
    const nonce = randomId();
    if (this.options.connections?.invite(hostId, nonce) === true) this.options.send(hostId, { type: 'rtc-invite', nonce });
  }

  private retryLater(hostId: HostId): void {
    if (this.retries.has(hostId) || this.options.self > hostId) return;
    this.retries.set(
      hostId,
      this.options.clock.setTimeout(() => {
        this.retries.delete(hostId);
        if (this.known.has(hostId) && this.options.connections?.state(hostId) === 'failed') this.connect(hostId);
      }, RETRY_MS),
    );
  }

  /** Waits while a link is tried for the first time; every attempt has a time limit of its own. */
  private async ready(hostId: HostId): Promise<LinkKind> {
    const { connections } = this.options;
    if (connections?.state(hostId) === 'none') this.connect(hostId);
    while (connections?.state(hostId) === 'trying') {
      await new Promise<void>((resolve) => {
        const waiting = this.changed.on(() => {
          waiting.dispose();
          resolve();
        });
      });
    }
    const kind = this.kindFor(hostId);
    return kind === 'trying' ? 'relay' : kind;
  }

  /** A link that works now, of another kind than the one that just died if there is such a link. */
  private otherThan(avoid: LinkKind, hostId: HostId): LinkKind {
    const { connections, presence } = this.options;
    if (avoid !== 'webrtc' && connections?.state(hostId) === 'open') return 'webrtc';
    if (avoid !== 'local' && presence?.has(hostId) === true) return 'local';
    return 'relay';
  }

  private ask(opening: Opening): void {
    if (!this.isCutOff) this.options.send(opening.targetId, opening.message);
  }

  private notOpened({ undelivered }: Opening): MigrationError {
    if (this.isCutOff)
      return new MigrationError(
        'relay-lost',
        'The server does not answer, and without it no connection to the other host can be opened. Try again when it does.',
      );
    if (undelivered) return new MigrationError('unknown-host', UNREACHABLE);
    return new MigrationError(
      'link-failed',
      `The other host did not open its end of the connection within ${OPEN_LIMIT_MS / 1000} s. Is its tab frozen or hidden?`,
    );
  }

  private openLimit(migrationId: MigrationId): Disposable {
    return this.options.clock.setTimeout(() => {
      const opening = this.openings.get(migrationId);
      if (opening !== undefined) this.giveUp(migrationId, this.notOpened(opening));
    }, OPEN_LIMIT_MS);
  }

  private answer(from: HostId, message: HostMessageOf<'open-link'>): void {
    const { migrationId, attempt } = message;
    const linkId = linkIdOf(migrationId, attempt);
    try {
      // Asked again: the ends here are open already.
      if (!this.answered.has(linkId)) {
        const accepted = this.options.accept(from, migrationId, message.vmId, attempt, (handOver) =>
          this.handOver(from, linkId, message.kind, message.channelBase, 'target', handOver),
        );
        if (accepted !== 'open') {
          this.options.send(from, { type: 'link-waits', migrationId, attempt, loaded: accepted.loaded });
          return;
        }
        this.answered.add(linkId);
        const [oldest] = this.answered;
        if (this.answered.size > MAX_ANSWERED && oldest !== undefined) this.answered.delete(oldest);
      }
      this.options.send(from, { type: 'link-opened', migrationId, attempt });
    } catch (error) {
      this.options.send(from, { type: 'link-refused', migrationId, attempt, reason: error instanceof Error ? error.message : String(error) });
    }
  }

  /** The target is alive; this tab keeps asking. */
  private targetWaits(from: HostId, { migrationId, attempt, loaded }: HostMessageOf<'link-waits'>): void {
    const opening = this.openings.get(migrationId);
    if (opening?.targetId !== from || opening.message.attempt !== attempt) return;
    opening.limit.dispose();
    opening.limit = this.openLimit(migrationId);
    opening.waiter.targetLoading(loaded);
  }

  private finish(from: HostId, message: HostMessageOf<'link-opened' | 'link-refused'>): void {
    const { migrationId, attempt } = message;
    const asked = this.openings.get(migrationId);
    // A late answer may be about a link that has died, while the next one is being opened.
    if (asked?.targetId !== from || asked.message.attempt !== attempt) return;
    const opening = this.settle(migrationId);
    if (opening === null) return;
    if (message.type === 'link-refused') {
      opening.reject(new MigrationError('target-refused', message.reason));
      return;
    }
    try {
      const { kind, channelBase } = opening.message;
      this.handOver(from, linkIdOf(migrationId, attempt), kind, channelBase, 'source', opening.handOver);
      opening.resolve(kind);
    } catch (error) {
      opening.reject(error instanceof MigrationError ? error : new MigrationError('link-failed', String(error)));
    }
  }

  /** The other host may have opened its end. If this was the first link, it is told not to wait for anything. */
  private giveUp(migrationId: MigrationId, error: MigrationError): void {
    const opening = this.settle(migrationId);
    if (opening === null) return;
    if (opening.message.attempt === 0) this.options.send(opening.targetId, { type: 'link-abandoned', migrationId });
    opening.reject(error);
  }

  private settle(migrationId: MigrationId): Opening | null {
    const opening = this.openings.get(migrationId);
    if (opening === undefined) return null;
    this.openings.delete(migrationId);
    opening.limit.dispose();
    opening.again.dispose();
    return opening;
  }

  /** Creates this tab's ends and hands them over in the same task: a data channel can be transferred only then. */
  private handOver(other: HostId, linkId: string, kind: LinkKind, channelBase: number, side: 'source' | 'target', handOver: HandOver): void {
    switch (kind) {
      case 'webrtc': {
        const channels = this.options.connections?.createLanes(other, channelBase) ?? null;
        if (channels === null) throw new MigrationError('link-failed', 'The WebRTC connection between the two hosts has gone.');
        handOverChannels(channels, handOver);
        break;
      }
      case 'local':
        handOver({
          kind,
          control: { type: 'broadcast', name: `tabmotion-${linkId}-control`, side },
          bulk: { type: 'broadcast', name: `tabmotion-${linkId}-bulk`, side },
        });
        break;
      case 'relay':
        handOver({ kind });
        break;
    }
  }
}

function handOverChannels(channels: LaneChannels, handOver: HandOver): void {
  try {
    handOver({
      kind: 'webrtc',
      control: { type: 'data-channel', channel: channels.control },
      bulk: { type: 'data-channel', channel: channels.bulk },
    });
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'DataCloneError')) throw error;
    handOver({
      kind: 'webrtc',
      control: { type: 'port', port: bridgeToPort(openDataChannelLane(channels.control)) },
      bulk: { type: 'port', port: bridgeToPort(openDataChannelLane(channels.bulk)) },
    });
  }
}
