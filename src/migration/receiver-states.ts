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
  /** The state is left at that time at the latest; null: only the link's heartbeat decides. */
  readonly deadline: number | null;
}
interface WithOffer<Name extends string> extends Base<Name> {
  readonly offer: OfferMessage;
  /** A dead link may be replaced by another. */
  readonly canReconnect: boolean;
}

/** The link is open; no message has arrived yet. */
interface AwaitingOffer extends Base<'awaiting-offer'> {
  readonly canReconnect: boolean;
}
/** The VM is being built and its port attached. */
export interface Preparing extends WithOffer<'preparing'> {
  readonly vm: { readonly fingerprint: Fingerprint; readonly space: PageSpace } | null;
  readonly leaseAttached: boolean;
}
/** Pages arrive. */
export interface Receiving extends WithOffer<'receiving'> {
  /** The source asked whether a commit would reach the relay, and has no answer yet. */
  readonly asked: boolean;
  /** Round trip of the last probe to the relay; null: none yet. */
  readonly relayRoundTripMs: number | null;
}
/** The link died; the source may come back over another. */
export interface Interrupted extends WithOffer<'interrupted'> {
  readonly link: 'dead' | 'adopted';
}
/** The source has stopped; the missing rest arrives, is compared and restored. */
export interface Restoring extends WithOffer<'restoring'> {
  readonly step: 'gathering' | 'devices' | 'scanning';
  readonly switchover: ToTargetOf<'switchover'>;
  readonly relayRoundTripMs: number | null;
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
  /** The CPU certainly does not run; the target waits for the relay only for a while. */
  readonly failure: Failure | null;
}
/** The CPU runs; the target waits for the guest's first instructions, then for the relay to note them. */
export interface Proving extends WithOffer<'proving'> {
  readonly epoch: LeaseEpoch;
  readonly step: 'executing' | 'telling';
}
export interface Ended extends Base<'ended'> {
  readonly verdict: { readonly outcome: 'completed'; readonly epoch: LeaseEpoch } | Failure;
}

export type ReceiverState = AwaitingOffer | Preparing | Receiving | Interrupted | Restoring | Committing | Starting | Proving | Ended;

/** Asynchronous operations for the runner; one that cannot be done comes back as `operation-failed`. */
export type ReceiverOperation = 'prepare' | 'attach-lease' | 'probe' | 'gather' | 'restore' | 'scan' | 'commit' | 'run' | 'await-alive' | 'tell-alive';

export type ReceiverEvent = { readonly at: number } & (
  | { readonly type: 'message'; readonly message: ToTargetOf<'can-commit' | 'switchover' | 'scan' | 'resume' | 'end'> }
  /** The first message; its version is already agreed on. */
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
  /** The relay answered after this time. */
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
  /** Starts the CPU and tells it how long it was stopped. */
  | { readonly type: 'run'; readonly stoppedAt: number }
  | { readonly type: 'agree'; readonly version: number }
  | { readonly type: 'adopt-link' }
  | { readonly type: 'refuse-link' }
  /** Answers `resumed` with the number of messages applied from the dead link, and counts the new link's from 0. */
  | { readonly type: 'send-resumed' }
  | { readonly type: 'discard-vm' }
  | { readonly type: 'dispose-lease' }
  | { readonly type: 'log'; readonly sentence: string }
  | { readonly type: 'finish'; readonly verdict: Ended['verdict'] };

export interface ReceiverStep {
  readonly state: ReceiverState;
  readonly effects: readonly ReceiverEffect[];
}
