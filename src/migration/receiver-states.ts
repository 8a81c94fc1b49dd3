/**
 * The states of the target's side, what can happen to it and what it asks for (rules MG10-MG33 of PROTOCOL.md, which
 * uses the same names). A state carries only what is known and needed in it.
 *
 *   awaiting-offer -> preparing -> receiving -> restoring -> committing -> starting -> proving -> ended
 *                                   ^   |
 *                                   |   v
 *                                 interrupted
 *   every state -> ended
 *
 * The VM may run here in starting and proving (committed, the relay may still take it back), and after a completed end.
 */
import type { TargetTook } from './downtime.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { OfferMessage, ToSource, ToTargetOf } from './messages.ts';
import type { PageSpace } from './ports.ts';
import type { LeaseEpoch } from '../shared/ids.ts';
import type { Failure } from './sender-states.ts';

interface Base<Name extends string> {
  readonly name: Name;
  /** Left at that time at the latest; null: the link's heartbeat alone decides. */
  readonly deadline: number | null;
}
interface WithOffer<Name extends string> extends Base<Name> {
  readonly offer: OfferMessage;
  /** A dead link may be replaced by another. */
  readonly canReconnect: boolean;
}

/** The link is open, nothing was said yet. */
interface AwaitingOffer extends Base<'awaiting-offer'> {
  readonly canReconnect: boolean;
}
/** The VM is built and its port attached. */
export interface Preparing extends WithOffer<'preparing'> {
  readonly vm: { readonly fingerprint: Fingerprint; readonly space: PageSpace } | null;
  readonly leaseAttached: boolean;
}
/** Pages arrive. */
export interface Receiving extends WithOffer<'receiving'> {
  /** The source asked whether a commit would reach the relay, and was not answered yet. */
  readonly asked: boolean;
  /** What the last proof of the way to the relay took, there and back; null: none yet. */
  readonly relayRoundTripMs: number | null;
}
/** The link died; the source may come back over another. */
export interface Interrupted extends WithOffer<'interrupted'> {
  readonly link: 'dead' | 'adopted';
}
/** The source has stopped; what is missing arrives, is compared and restored. */
export interface Restoring extends WithOffer<'restoring'> {
  readonly step: 'gathering' | 'devices' | 'scanning';
  readonly switchover: ToTargetOf<'switchover'>;
  readonly relayRoundTripMs: number | null;
  readonly beganAt: number;
  /** When the last page had come, and when the devices were restored; null: not yet. */
  readonly gatheredAt: number | null;
  readonly restoredAt: number | null;
  /** Digests of both sides' scans, as far as known; only with `verify`. */
  readonly sourceScan: string | null;
  readonly targetScan: string | null;
}
/** The relay was asked to move the lease. */
interface Committing extends WithOffer<'committing'> {
  readonly stoppedAt: number;
  readonly askedAt: number;
  readonly took: Pick<TargetTook, 'restore' | 'verify'>;
  /** Whether the source was told that the relay does not answer. */
  readonly toldUnanswered: boolean;
}
/** The lease is here; the CPU is being started. */
export interface Starting extends WithOffer<'starting'> {
  readonly epoch: LeaseEpoch;
  readonly committedAt: number;
  readonly took: Omit<TargetTook, 'run'>;
  /** The CPU does not run, for certain; the relay's word is awaited for a while only. */
  readonly failure: Failure | null;
}
/** The CPU runs; the guest's first instructions, then the relay's note of them, are awaited. */
export interface Proving extends WithOffer<'proving'> {
  readonly epoch: LeaseEpoch;
  readonly step: 'executing' | 'telling';
}
export interface Ended extends Base<'ended'> {
  readonly verdict: { readonly outcome: 'completed'; readonly epoch: LeaseEpoch } | Failure;
}

export type ReceiverState = AwaitingOffer | Preparing | Receiving | Interrupted | Restoring | Committing | Starting | Proving | Ended;

/** What the runner is asked to do asynchronously; `operation-failed` if it cannot be done. */
export type ReceiverOperation = 'prepare' | 'attach-lease' | 'probe' | 'gather' | 'restore' | 'scan' | 'commit' | 'run' | 'await-alive' | 'tell-alive';

export type ReceiverEvent = { readonly at: number } & (
  | { readonly type: 'message'; readonly message: ToTargetOf<'can-commit' | 'switchover' | 'scan' | 'resume' | 'end'> }
  /** The first message, its version agreed on already. */
  | { readonly type: 'offer'; readonly message: OfferMessage; readonly version: number }
  | { readonly type: 'link-lost'; readonly failure: Failure }
  | { readonly type: 'failed'; readonly failure: Failure }
  | { readonly type: 'cancel'; readonly reason: string }
  | { readonly type: 'deadline' }
  | { readonly type: 'operation-failed'; readonly operation: ReceiverOperation; readonly failure: Failure }
  /** The source opened another link. */
  | { readonly type: 'link-offered' }
  | { readonly type: 'prepared'; readonly fingerprint: Fingerprint; readonly space: PageSpace }
  | { readonly type: 'lease-attached' }
  /** The relay answered, after so long. */
  | { readonly type: 'probed'; readonly roundTripMs: number }
  | { readonly type: 'gathered'; readonly digest: string }
  | { readonly type: 'restored' }
  | { readonly type: 'scanned'; readonly digest: string }
  | { readonly type: 'committed'; readonly epoch: LeaseEpoch }
  | { readonly type: 'runs' }
  | { readonly type: 'alive' }
  | { readonly type: 'alive-noted' }
  /** The relay gave the VM back to the source. */
  | { readonly type: 'revoked' }
);

export type ReceiverEffect =
  | { readonly type: 'send'; readonly message: ToSource }
  | { readonly type: 'start'; readonly operation: Exclude<ReceiverOperation, 'gather' | 'run'> }
  /** Reports `gathered` once all these bulk messages were applied. */
  | { readonly type: 'gather'; readonly bulkMessages: number; readonly deviceBytes: number }
  /** Starts the CPU, telling it how long it stood still. */
  | { readonly type: 'run'; readonly stoppedAt: number }
  | { readonly type: 'agree'; readonly version: number }
  | { readonly type: 'adopt-link' }
  | { readonly type: 'refuse-link' }
  /** Answers `resumed` with what was applied of the dead link, and counts the new one from 0. */
  | { readonly type: 'send-resumed' }
  | { readonly type: 'discard-vm' }
  | { readonly type: 'dispose-lease' }
  | { readonly type: 'log'; readonly sentence: string }
  | { readonly type: 'finish'; readonly verdict: Ended['verdict'] };

export interface ReceiverStep {
  readonly state: ReceiverState;
  readonly effects: readonly ReceiverEffect[];
}
