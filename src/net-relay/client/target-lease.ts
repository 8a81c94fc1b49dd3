/** The target's side of one switchover: the commit, the sign of life, and the message that the VM was taken back. */
import { MigrationError } from '../../migration/migration-error.ts';
import type { TargetLease } from '../../migration/ports.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import type { HostId, LeaseEpoch, MigrationId } from '../../shared/ids.ts';
import type { RelayToPort } from '../protocol/relay-protocol.ts';
import { Deferred } from './deferred.ts';
import type { Attached, PortConnection, PortListener, PortState } from './port-connection.ts';

/**
 * How long a commit may stay unanswered while the relay cannot be reached. Then the target gives up for good, which is
 * always safe: it has not run, and if the commit was done, the relay gives the VM back to its source.
 */
const COMMIT_LIMIT_MS = 30_000;
/**
 * An answer to a commit that took longer than this is not trusted: this host was frozen in between, and the relay may
 * have given the VM back (after 2 s without a sign of life). The target asks again who owns the VM.
 */
const FRESH_ANSWER_MS = 1000;
const GIVEN_BACK = 'The relay gave the VM back to its source, because no sign of life came in time.';

export class RelayTargetLease implements TargetLease, PortListener {
  private readonly port: PortConnection;
  private readonly migrationId: MigrationId;
  private readonly fromHostId: HostId;
  private readonly fromEpoch: LeaseEpoch;
  private readonly revocations = new Emitter<undefined>();
  private committing: Deferred<LeaseEpoch> | null = null;
  private committed: LeaseEpoch | null = null;
  /** When this host last asked the relay how the commit ended. */
  private askedAt = Number.NEGATIVE_INFINITY;
  private probing: Deferred<number> | null = null;
  private probeSentAt = 0;
  private living: Deferred<undefined> | null = null;
  /** Why this lease can no longer succeed. */
  private failure: MigrationError | null = null;
  private limit: Disposable | null = null;

  constructor(port: PortConnection, migrationId: MigrationId, fromHostId: HostId) {
    this.port = port;
    this.migrationId = migrationId;
    this.fromHostId = fromHostId;
    this.fromEpoch = port.epoch;
    port.listen(this);
  }

  /** This host owns the VM, as far as it knows. */
  get ownsVm(): boolean {
    return this.committed !== null && this.failure === null;
  }

  probe(): Promise<number> {
    if (this.failure !== null) return Promise.reject(this.failure);
    if (this.probing === null) {
      this.probing = new Deferred();
      this.sendProbe();
    }
    return this.probing.promise;
  }

  commit(): Promise<LeaseEpoch> {
    if (this.committing === null) {
      this.committing = new Deferred();
      if (this.failure !== null) this.committing.reject(this.failure);
      else {
        this.sendCommit();
        this.state(this.port.state);
      }
    }
    return this.committing.promise;
  }

  alive(): Promise<void> {
    if (this.living === null) {
      this.living = new Deferred();
      if (this.failure !== null) this.living.reject(this.failure);
      else this.port.send({ type: 'alive', migrationId: this.migrationId });
    }
    return this.living.promise;
  }

  onRevoked(listener: () => void): Disposable {
    return this.revocations.on(listener);
  }

  /** If the port owns the VM by now, it stays: its owner disposes of it. */
  dispose(): void {
    if (!this.ownsVm) this.port.dispose();
  }

  attached(message: Attached): void {
    if (this.failure !== null) return;
    if (message.as === 'owner' && this.committing !== null && this.committed === null) {
      this.port.becomeOwner(message.epoch as LeaseEpoch);
      this.askOwner();
    }
    if (message.as === 'target' && this.committing !== null) this.sendCommit();
    if (message.as === 'target') this.sendProbe();
    if (this.living !== null) this.port.send({ type: 'alive', migrationId: this.migrationId });
  }

  message(message: RelayToPort): void {
    if (!('migrationId' in message) || message.migrationId !== this.migrationId || this.failure !== null) return;
    if (message.type === 'committed') this.answered(message.epoch as LeaseEpoch);
    else if (message.type === 'outcome') this.outcome(message);
    else if (message.type === 'probed') this.probed();
    else if (message.type === 'commit-refused') {
      // The port stays: the source may hand over again.
      this.committing?.reject(new MigrationError('commit-refused', message.reason));
      this.committing = null;
    } else if (message.type === 'revoked') {
      this.port.becomeFormerOwner();
      this.port.refuse('stale-epoch', GIVEN_BACK);
    }
  }

  state(state: PortState): void {
    if (this.failure !== null) return;
    if (state.kind === 'refused') {
      const wasCommitted = this.committed !== null;
      this.fail(
        new MigrationError(
          state.cause === 'stale-epoch' || state.cause === 'not-owner' || state.cause === 'unknown-vm' ? 'commit-refused' : 'relay-lost',
          state.reason,
        ),
      );
      if (wasCommitted && state.cause === 'stale-epoch') this.revocations.emit(undefined);
    } else if (state.kind === 'connected') {
      this.limit?.dispose();
      this.limit = null;
    } else if (this.committing !== null && this.committed === null) {
      this.limit ??= this.port.clock.setTimeout(() => {
        const reason = 'The relay could not be reached for 30 s; if this host was given the VM meanwhile, it goes back to its source.';
        this.fail(new MigrationError('relay-lost', reason));
        this.port.refuse('relay-lost', reason);
      }, COMMIT_LIMIT_MS);
    }
  }

  disposed(): void {
    this.fail(new MigrationError('relay-lost', 'The port was closed.'));
    this.revocations.dispose();
  }

  private outcome(message: Extract<RelayToPort, { type: 'outcome' }>): void {
    const isOwner = message.ownerHostId === this.port.hostId;
    if (this.committing !== null && this.committed === null) {
      if (isOwner) this.answered(message.epoch as LeaseEpoch);
      return;
    }
    if (!isOwner) this.living?.reject(new MigrationError('commit-refused', GIVEN_BACK));
    else if (message.alive) this.living?.resolve(undefined);
  }

  private askOwner(): void {
    this.askedAt = this.port.clock.now();
    this.port.send({ type: 'who-owns', migrationId: this.migrationId });
  }

  /** The relay says that this host owns the VM; that is true only as long as the relay waits for its sign of life. */
  private answered(epoch: LeaseEpoch): void {
    if (this.committed !== null) return;
    // Frames for the guest follow the relay's answer: they wait here until it is clear what the answer means.
    this.port.becomeOwner(epoch);
    if (this.port.clock.now() - this.askedAt > FRESH_ANSWER_MS) this.askOwner();
    else this.succeed(epoch);
  }

  /** Sent again over the socket that replaces a broken one: the probe asks whether this socket works in both directions. */
  private sendProbe(): void {
    if (this.probing === null) return;
    this.probeSentAt = this.port.clock.now();
    this.port.send({ type: 'probe', migrationId: this.migrationId });
  }

  private probed(): void {
    const { probing } = this;
    if (probing === null) return;
    this.probing = null;
    probing.resolve(this.port.clock.now() - this.probeSentAt);
  }

  private sendCommit(): void {
    this.askedAt = this.port.clock.now();
    this.port.send({ type: 'commit', migrationId: this.migrationId, fromHostId: this.fromHostId, fromEpoch: this.fromEpoch });
  }

  private succeed(epoch: LeaseEpoch): void {
    this.committed = epoch;
    this.limit?.dispose();
    this.committing?.resolve(epoch);
  }

  private fail(error: MigrationError): void {
    this.failure ??= error;
    this.limit?.dispose();
    this.committing?.reject(error);
    this.probing?.reject(error);
    this.living?.reject(error);
  }
}
