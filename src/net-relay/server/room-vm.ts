/**
 * One VM at the relay: its lease (lease-table.ts, kept by lease-keeper.ts), its port of the switch (vm-port.ts) and the sockets
 * that speak for it. Performs the effects the lease asks for; decides nothing about ownership itself. Every change of owner is
 * stored before anybody hears of it, or refused (NR25).
 */
import type { Clock } from '../../shared/clock.ts';
import { assertNever } from '../../shared/assert-never.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { HostId, Ipv4Address, LeaseEpoch, MacAddress, MigrationId, VmId } from '../../shared/ids.ts';
import { Announcer } from '../lan/announcer.ts';
import { isOverdue, type Attempt } from '../protocol/attempt.ts';
import { HEARTBEAT_MS } from './heartbeats.ts';
import { Counters } from '../../shared/counters.ts';
import { describeLeaseStep } from '../arbiter/lease-trace.ts';
import { hostsOf, LeaseKeeper, leaseFrom, storedLease, type WorldEffect } from '../arbiter/lease-keeper.ts';
import { admitOwner, admitTarget, mayCommit, moveFrom, newLease, type Lease } from '../arbiter/lease-table.ts';
import { PortSession, type PortConnection, type PortOwner, type PortRequest } from './port-session.ts';
import type { PortForward, VmState } from '../protocol/relay-protocol.ts';
import { REFUSALS } from './refusals.ts';
import type { StoredLease, StoredVm } from '../store/relay-store.ts';
import { SwitchoverEndings, type OwnersEnding } from './switchover-endings.ts';
import type { Switch } from '../lan/switch.ts';
import type { Note } from '../../shared/trace.ts';
import { VmPort, type PortDrop } from '../lan/vm-port.ts';
import { MAX_TARGETS } from '../limits/server-limits.ts';

/** The wait for a sign of life after a commit counts beats of the relay's own uptime, so that the time it stood still does not count. */
const CONFIRM_BEAT_MS = 250;
const CONFIRM_BEATS = 8;
/** After a restart both sides must find their way back first. */
const CONFIRM_BEATS_AFTER_RESTART = 40;
const REPLACED = 'A newer connection of the same host took this place.';

export interface RoomVmWorld {
  readonly clock: Clock;
  /** The relay's wall clock, in milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly lanSwitch: Switch;
  /** Stores what must outlive a restart. Throws StoreRefusal: then the previous record is still stored. */
  store(vm: RoomVm, record: VmRecord): void;
  /** For the room's trace. */
  readonly note: Note;
  /** Anything that the room or its LAN shows has changed. */
  changed(): void;
  tokenDigest(hostId: HostId): string | undefined;
}

/** The part of a VM that changes during its life, in the form in which it is stored. */
export interface VmRecord {
  readonly lease: StoredLease;
  /** Hosts that the lease names: their tokens must outlive a restart. */
  readonly hosts: readonly HostId[];
  readonly forwards: readonly PortForward[];
}

export interface RoomVmIdentity {
  readonly id: VmId;
  readonly name: string;
  readonly mac: MacAddress;
  readonly ip: Ipv4Address;
  readonly memoryBytes: number;
  readonly createdBy: { readonly hostId: HostId; readonly requestId: number };
}

export class RoomVm implements PortOwner {
  readonly identity: RoomVmIdentity;
  readonly port: VmPort;
  state: VmState = 'starting';
  forwards: readonly PortForward[] = [];
  /** A port of its owner was attached, or may have been before the relay was restarted. */
  hasRun: boolean;
  /** The address of the host that made the VM; null: that address has no limits, or the VM is from before a restart of the relay. */
  maker: string | null = null;
  /** Beats of HEARTBEAT_MS that its owner has been away. */
  awayBeats = 0;
  private readonly world: RoomVmWorld;
  private readonly sessions = new Set<PortSession>();
  private readonly announcer: Announcer;
  private readonly keeper: LeaseKeeper;
  private confirmTimer: Disposable | null = null;
  private readonly endings = new SwitchoverEndings();

  constructor(identity: RoomVmIdentity, ownerHostId: HostId, world: RoomVmWorld, stored?: StoredVm) {
    this.identity = identity;
    this.world = world;
    this.hasRun = stored !== undefined;
    this.port = new VmPort(identity.mac, identity.ip, world.clock, new Counters<PortDrop>());
    this.announcer = new Announcer(identity, world.lanSwitch, world.clock);
    this.port.plugInto(world.lanSwitch.plug(this.port, { mac: identity.mac }));
    this.keeper = new LeaseKeeper(stored === undefined ? newLease(identity.id, ownerHostId) : leaseFrom(identity.id, stored.lease), {
      clock: world.clock,
      store: (lease, hosts) => world.store(this, { lease, hosts, forwards: this.forwards }),
      perform: (effect) => this.perform(effect),
      stepped: (event, before, after, effects) => {
        const step = describeLeaseStep(event, before, after, effects);
        if (step !== null) this.note(step);
      },
      ownerChanged: () => world.changed(),
      isSourcePresent: ({ sourceHostId, sourceEpoch }) => this.formerOwner(sourceHostId, sourceEpoch) !== null,
    });
    if (stored !== undefined) {
      this.forwards = stored.forwards;
      this.state = 'paused';
      this.keeper.apply({ type: 'relay-restarted' });
    }
  }

  get ownerHostId(): HostId {
    return this.lease.ownerHostId;
  }

  get epoch(): LeaseEpoch {
    return this.lease.epoch;
  }

  get leaseState(): Lease['state'] {
    return this.lease.state;
  }

  /** A host that has the VM, had it or is to get it is connected. */
  get hasSession(): boolean {
    return this.sessions.size > 0;
  }

  private get lease(): Lease {
    return this.keeper.lease;
  }

  /** Hosts that the lease names: their tokens must outlive a restart. */
  get hosts(): HostId[] {
    return hostsOf(this.lease);
  }

  get record(): VmRecord {
    return { lease: storedLease(this.lease), hosts: this.hosts, forwards: this.forwards };
  }

  /** The VM may change its owner at any moment, or go back to the previous one. */
  get isInSwitchover(): boolean {
    return mayCommit(this.lease) || this.lease.state === 'committed-unconfirmed';
  }

  /** Closes this host's sockets for the VM. */
  refuseHost(hostId: HostId, cause: 'removed'): void {
    for (const session of [...this.sessions]) if (session.hostId === hostId) session.refuse(cause, REFUSALS[cause]);
  }

  hasSessionOf(hostId: HostId): boolean {
    return [...this.sessions].some((session) => session.hostId === hostId);
  }

  /** The owner has ended the VM. Null if it can end now; a sentence if, during a switchover, another host may still get it (NR29). */
  endsAfterSwitchover(ending: OwnersEnding): string | null {
    const { name } = this.identity;
    if (mayCommit(this.lease)) {
      this.endings.add(ending);
      return `${name} is being handed over; it ends if no other host takes it.`;
    }
    if (this.lease.state !== 'committed-unconfirmed') return null;
    // Stop waiting for a sign of life. If the source is away, the VM waits until the source comes back or has been away for too long.
    this.endings.add(ending);
    this.stopConfirming();
    this.confirmExpired();
    return `${name} goes back to the host that it came from.`;
  }

  /** Called once a beat: how its owner ended the VM, if that was in a switchover after which nobody has it. */
  endedInSwitchover(): OwnersEnding | null {
    return this.endings.ended(
      this.lease,
      [...this.sessions].some((session) => session.role === 'target'),
    );
  }

  /** Throws StoreRefusal; then the forwards have not changed. */
  setForwards(forwards: readonly PortForward[]): void {
    this.world.store(this, { ...this.record, forwards });
    this.forwards = forwards;
  }

  attachOwner(connection: PortConnection, hostId: HostId, tokenDigest: string, epoch: LeaseEpoch, attempt?: Attempt): void {
    if (this.refusesOverdue(connection, hostId, attempt)) return;
    const role = admitOwner(this.lease, hostId, epoch);
    if (role === 'stale-epoch' || role === 'not-owner') {
      connection.refuse({ cause: role, reason: `${this.identity.name} belongs to another host now (epoch ${this.lease.epoch}, not ${epoch}).` });
      return;
    }
    for (const other of [...this.sessions]) {
      if (other.hostId === hostId && (other.migrationId === null || this.port.isBehind(other))) this.replace(other);
    }
    const migrationId = moveFrom(this.lease, hostId, epoch);
    const session = new PortSession(connection, this, {
      hostId,
      tokenDigest,
      migrationId: null,
      role,
      epoch: role === 'owner' ? this.lease.epoch : epoch,
      attempt,
    });
    this.admit(session);
    this.hasRun = true;
    if (migrationId === undefined) return;
    if (role === 'former-owner') this.keeper.apply({ type: 'source-returned', hostId });
    this.keeper.apply({ type: 'who-owns', hostId, migrationId });
  }

  attachTarget(connection: PortConnection, hostId: HostId, tokenDigest: string, epoch: LeaseEpoch, migrationId: MigrationId, attempt?: Attempt): void {
    if (this.refusesOverdue(connection, hostId, attempt)) return;
    const role = admitTarget(this.lease, hostId, epoch, migrationId);
    if (role === 'stale-epoch') {
      connection.refuse({ cause: role, reason: `${this.identity.name} is not at epoch ${epoch} any more, or this migration has ended.` });
      return;
    }
    for (const other of [...this.sessions]) {
      if (other.hostId === hostId && (other.role === 'target' || this.port.isBehind(other))) this.replace(other);
    }
    if ([...this.sessions].filter((session) => session.role === 'target').length >= MAX_TARGETS) {
      connection.refuse({ cause: 'relay-full', reason: `${this.identity.name} already has ${MAX_TARGETS} hosts waiting to receive it.` });
      return;
    }
    this.admit(new PortSession(connection, this, { hostId, tokenDigest, migrationId, role, epoch: this.lease.epoch, attempt }));
  }

  request(session: PortSession, request: PortRequest): void {
    const { hostId, epoch } = session;
    const migrationId = request.migrationId as MigrationId;
    switch (request.type) {
      case 'hold':
        this.keeper.apply({ type: 'hold', hostId, epoch, migrationId, targetHostId: request.targetHostId as HostId });
        return;
      case 'drained':
      case 'release':
      case 'abort':
        this.keeper.apply({ type: request.type, hostId, epoch, migrationId });
        return;
      case 'commit':
        if (session.migrationId !== migrationId) {
          session.send({ type: 'commit-refused', migrationId, reason: 'This port was not attached for this migration.' });
          return;
        }
        this.keeper.apply({ type: 'commit', hostId, migrationId, fromHostId: request.fromHostId as HostId, fromEpoch: request.fromEpoch as LeaseEpoch });
        return;
      case 'alive':
        if (this.port.isBehind(session) && !this.keeper.signOfLife(session.hostId, session.epoch, true)) return;
        // The target waits for the answer: from here on the VM stays with it.
        this.keeper.apply({ type: 'who-owns', hostId, migrationId });
        return;
      case 'probe':
        session.send({ type: 'probed', migrationId });
        return;
      case 'who-owns':
        this.keeper.apply({ type: 'who-owns', hostId, migrationId });
        return;
      default:
        assertNever(request);
    }
  }

  fromGuest(session: PortSession, frames: readonly Uint8Array[]): void {
    // The first frame is as good a sign of life as any, and must be recorded as one before it goes out.
    if (this.lease.state === 'committed-unconfirmed' && this.port.isBehind(session) && !this.keeper.signOfLife(session.hostId, session.epoch, false)) {
      this.port.drops.add('not-stored', frames.length);
      return;
    }
    const stale = session.role === 'target' ? 'not-committed' : 'stale-epoch';
    for (const frame of frames) this.port.send(session, frame, stale);
  }

  returned(session: PortSession, frames: readonly Uint8Array[]): void {
    this.port.giveBack(frames, this.lease.state === 'holding' && this.port.isBehind(session));
  }

  tooSlow(frames: number): void {
    this.port.drops.add('slow-port', frames);
  }

  detached(session: PortSession): void {
    if (!this.sessions.delete(session)) return;
    this.note(`port of ${session.hostId} detached`);
    if (session.migrationId !== null) {
      this.keeper.apply({ type: 'target-left', hostId: session.hostId, migrationId: session.migrationId });
    }
    if (this.port.isBehind(session)) {
      this.port.attach(null);
      this.world.changed();
    }
  }

  /** Ends the VM: tells and closes all its sockets. */
  dispose(reason: string): void {
    this.stopConfirming();
    this.keeper.dispose();
    this.announcer.dispose();
    for (const session of [...this.sessions]) session.refuse('unknown-vm', reason);
    this.port.dispose();
  }

  private admit(session: PortSession): void {
    this.sessions.add(session);
    const as = session.role === 'owner' || session.role === 'former-owner' ? session.role : 'target';
    this.note(`port of ${session.hostId} attached as ${as}, epoch ${this.lease.epoch}`);
    session.send({ type: 'attached', as, epoch: this.lease.epoch, heartbeatMs: HEARTBEAT_MS, wallMs: this.world.wallMs() });
    // After `attached`: frames that waited may leave at once.
    if (as === 'owner') this.port.attach(session);
    this.world.changed();
  }

  private note(step: string): void {
    this.world.note(this.identity.name, step);
  }

  private replace(session: PortSession): void {
    session.refuse('replaced', REPLACED);
  }

  /** A hello that took longer to arrive than its client waited replaces nobody. */
  private refusesOverdue(connection: PortConnection, hostId: HostId, attempt: Attempt | undefined): boolean {
    const overdue = [...this.sessions].some((session) => session.hostId === hostId && isOverdue(attempt, session.attempt));
    if (overdue) connection.refuse({ cause: 'replaced', reason: REPLACED });
    return overdue;
  }

  private perform(effect: WorldEffect): void {
    switch (effect.type) {
      case 'begin-hold':
        this.port.hold();
        this.tellOwner({ type: 'held', migrationId: effect.migrationId });
        return;
      case 'repeat-held':
        if (this.lease.state === 'holding') this.port.forgetReturned();
        this.tellOwner({ type: 'held', migrationId: effect.migrationId });
        return;
      case 'tell-drained':
        this.tellOwner({ type: 'drained-ok', migrationId: effect.migrationId });
        return;
      case 'end-hold':
        this.port.release();
        return;
      case 'tell-released':
        this.tellOwner({ type: 'released', migrationId: effect.migrationId });
        return;
      case 'move-port':
        this.movePort(effect.toHostId, effect.epoch, effect.migrationId);
        return;
      case 'tell-committed':
        this.tell(effect.toHostId, { type: 'committed', migrationId: effect.migrationId, epoch: effect.epoch });
        return;
      case 'await-sign-of-life':
        this.confirmAfter(effect.afterRestart ? CONFIRM_BEATS_AFTER_RESTART : CONFIRM_BEATS);
        return;
      case 'confirm':
        this.stopConfirming();
        this.port.confirm();
        return;
      case 'give-back':
        this.giveBack(effect.fromHostId, effect.toHostId, effect.epoch, effect.migrationId);
        return;
      case 'tell-outcome':
        this.tell(effect.toHostId, {
          type: 'outcome',
          migrationId: effect.migrationId,
          ownerHostId: effect.ownerHostId,
          epoch: effect.epoch,
          alive: effect.alive,
        });
        return;
      case 'refuse':
        if (effect.request === 'commit') this.tell(effect.toHostId, { type: 'commit-refused', migrationId: effect.migrationId, reason: effect.reason });
        else this.tell(effect.toHostId, { type: 'request-refused', migrationId: effect.migrationId, request: effect.request, reason: effect.reason });
        return;
      default:
        assertNever(effect);
    }
  }

  private movePort(toHostId: HostId, epoch: LeaseEpoch, migrationId: MigrationId): void {
    this.endings.forget(toHostId);
    let target: PortSession | null = null;
    for (const session of this.sessions) {
      if (session.role === 'owner') session.role = 'former-owner';
      if (session.hostId === toHostId && session.migrationId === migrationId) target = session;
    }
    if (target !== null) {
      target.role = 'owner';
      target.epoch = epoch;
    }
    this.port.moveTo(target);
    this.announcer.moved(this.port);
  }

  private giveBack(fromHostId: HostId, toHostId: HostId, epoch: LeaseEpoch, migrationId: MigrationId): void {
    this.stopConfirming();
    this.endings.forget(fromHostId);
    const source = this.formerOwner(toHostId, (epoch - 2) as LeaseEpoch);
    for (const session of [...this.sessions]) {
      if (session.hostId !== fromHostId || session.role !== 'owner') continue;
      session.role = 'former-owner';
      session.send({ type: 'revoked', migrationId, epoch });
    }
    if (source !== null) {
      source.role = 'owner';
      source.epoch = epoch;
    }
    this.port.takeBack(source);
    this.announcer.moved(this.port);
  }

  private formerOwner(hostId: HostId, epoch: LeaseEpoch): PortSession | null {
    return [...this.sessions].find((session) => session.role === 'former-owner' && session.hostId === hostId && session.epoch === epoch) ?? null;
  }

  private confirmAfter(beats: number): void {
    this.stopConfirming();
    this.confirmTimer = this.world.clock.setTimeout(() => {
      if (beats > 1) this.confirmAfter(beats - 1);
      else this.confirmExpired();
    }, CONFIRM_BEAT_MS);
  }

  private confirmExpired(): void {
    const { lease } = this;
    if (lease.state !== 'committed-unconfirmed') return;
    this.keeper.apply({ type: 'confirm-expired', sourcePresent: this.formerOwner(lease.sourceHostId, lease.sourceEpoch) !== null });
  }

  private stopConfirming(): void {
    this.confirmTimer?.dispose();
    this.confirmTimer = null;
  }

  private tellOwner(message: Parameters<PortSession['send']>[0]): void {
    this.tell(this.lease.ownerHostId, message);
  }

  private tell(hostId: HostId, message: Parameters<PortSession['send']>[0]): void {
    for (const session of [...this.sessions]) if (session.hostId === hostId) session.send(message);
  }
}
