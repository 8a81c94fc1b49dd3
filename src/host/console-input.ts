/**
 * Delivers what is typed into the consoles of the room's VMs. Each tab's outbox sends to wherever the VM is (its worker
 * in this tab, or the host that has it) and sends again until the VM's inbox has the input (console-outbox.ts). So typed
 * input survives a lost relay, a lost message and a move; it is lost only when the VM is gone.
 */
import type { Disposable } from '../shared/disposable.ts';
import type { Clock } from '../shared/clock.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import { fromBase64, toBase64 } from './console-bytes.ts';
import type { InputPiece } from '../vm-host/console-inbox.ts';
import { ConsoleOutbox, MAX_WAITING_BYTES } from './console-outbox.ts';
import type { HostMessage, HostMessageOf } from './host-messages.ts';

/** Input that is not acknowledged after this time is sent again, and the page says that it waits. */
const AGAIN_AFTER_MS = 1000;
/** While nothing is acknowledged, each repetition waits twice as long as the one before, up to this. */
const MAX_AGAIN_AFTER_MS = 8000;

export interface ConsoleInputOptions {
  readonly self: HostId;
  readonly clock: Clock;
  readonly send: (to: HostId, message: HostMessage) => void;
  /** The host that has the VM now (vm-owner.ts); null when nobody is known to. */
  readonly ownerNow: (vmId: VmId) => HostId | null;
  /** The VM, if its worker is here. */
  readonly local: (vmId: VmId) => LocalConsole | null;
  /** The amount of waiting input has changed. */
  readonly changed: () => void;
  /** A VM is gone, and the input typed for it is lost. */
  readonly lost: (vmId: VmId, characters: number) => void;
}

export interface LocalConsole {
  readonly state: { readonly kind: string };
  /** The worker answers how much of the writer's input the guest has: `applied`. */
  input(writer: HostId, piece: InputPiece): void;
}

interface Typed {
  readonly outbox: ConsoleOutbox;
  /** Where it was sent last. */
  to: HostId | null;
  again: Disposable | null;
  againAfterMs: number;
  /** It was sent again: the page says so. */
  late: boolean;
}

export class ConsoleInput {
  private readonly options: ConsoleInputOptions;
  private readonly typed = new Map<VmId, Typed>();

  constructor(options: ConsoleInputOptions) {
    this.options = options;
  }

  /** Typed in this tab. Throws a sentence if the room has no such VM, or too much waits for it. */
  write(vmId: VmId, text: string): void {
    this.put(
      vmId,
      (outbox) => outbox.write(text),
      () => new TextEncoder().encode(text).length,
    );
  }

  writeBytes(vmId: VmId, bytes: Uint8Array): void {
    this.put(
      vmId,
      (outbox) => outbox.writeBytes(bytes),
      () => bytes.length,
    );
  }

  /** Characters typed here a while ago that still have not reached the guest. */
  waitingFor(vmId: VmId): number {
    const typed = this.typed.get(vmId);
    return typed?.late === true ? typed.outbox.waitingCharacters : 0;
  }

  /** Input from another tab, which thinks that this tab is the VM's host. If it is not, that tab will learn the right host and send there. */
  receive(from: HostId, { vmId, acknowledged, from: at, data }: HostMessageOf<'console-input'>): void {
    this.options.local(vmId)?.input(from, { acknowledged, from: at, data: fromBase64(data) });
  }

  /** The VM's worker is here and has given the guest `count` bytes of what `writer` typed. */
  applied(vmId: VmId, writer: HostId, count: number): void {
    if (writer === this.options.self) this.acknowledged(writer, vmId, count);
    else this.options.send(writer, { type: 'console-applied', vmId, count });
  }

  /** Only the host that the input was last sent to counts; acknowledgements from a previous host are ignored. */
  acknowledged(from: HostId, vmId: VmId, count: number): void {
    const typed = this.typed.get(vmId);
    if (typed === undefined || typed.to !== from || !typed.outbox.acknowledge(count)) return;
    const wasLate = typed.late;
    this.settle(typed);
    this.pump(vmId, typed);
    if (wasLate) this.options.changed();
  }

  /** The room has changed: input sent to a host that no longer has the VM is sent to the host that has it now. */
  roomChanged(): void {
    for (const [vmId, typed] of this.typed) {
      const to = this.options.ownerNow(vmId);
      if (to === null && this.options.local(vmId) === null) {
        this.typed.delete(vmId);
        this.settle(typed);
        if (!typed.outbox.isEmpty) this.options.lost(vmId, typed.outbox.waitingCharacters);
      } else if (!typed.outbox.isEmpty && to !== typed.to) this.sendAgainSoon(vmId, typed);
    }
  }

  /** The relay answers again. */
  returned(): void {
    for (const [vmId, typed] of this.typed) if (!typed.outbox.isEmpty) this.sendAgainSoon(vmId, typed);
  }

  dispose(): void {
    for (const typed of this.typed.values()) this.settle(typed);
    this.typed.clear();
  }

  private put(vmId: VmId, write: (outbox: ConsoleOutbox) => boolean, size: () => number): void {
    if (this.options.ownerNow(vmId) === null && this.options.local(vmId) === null) throw new Error('There is no such VM in this room.');
    let typed = this.typed.get(vmId);
    if (typed === undefined) {
      typed = { outbox: new ConsoleOutbox(), to: null, again: null, againAfterMs: AGAIN_AFTER_MS, late: false };
      this.typed.set(vmId, typed);
    }
    if (!write(typed.outbox)) {
      const atAll = MAX_WAITING_BYTES / 1024;
      if (typed.outbox.isEmpty || size() > MAX_WAITING_BYTES) throw new Error(`At most ${atAll} KiB can be typed at once; write it in parts.`);
      throw new Error(`This was not typed: ${atAll} KiB wait for the VM already, and it does not take them. Try again when it does.`);
    }
    this.pump(vmId, typed);
  }

  /** Delivery is likely to work again: do not wait any longer. */
  private sendAgainSoon(vmId: VmId, typed: Typed): void {
    this.stopWaiting(typed);
    this.sendAgain(vmId, typed);
  }

  private sendAgain(vmId: VmId, typed: Typed): void {
    typed.outbox.again();
    this.pump(vmId, typed);
  }

  private pump(vmId: VmId, typed: Typed): void {
    // While a VM is on its way here, its keys still belong to the source.
    const to = this.options.ownerNow(vmId);
    typed.to = to;
    for (let piece = typed.outbox.next(); piece !== null; piece = typed.outbox.next()) this.deliver(vmId, to, piece);
    if (typed.outbox.isEmpty) return;
    typed.again ??= this.options.clock.setTimeout(() => {
      typed.again = null;
      typed.againAfterMs = Math.min(2 * typed.againAfterMs, MAX_AGAIN_AFTER_MS);
      typed.late = true;
      this.options.changed();
      this.sendAgain(vmId, typed);
    }, typed.againAfterMs);
  }

  private deliver(vmId: VmId, to: HostId | null, piece: InputPiece): void {
    if (to === this.options.self) this.options.local(vmId)?.input(this.options.self, piece);
    else if (to !== null)
      this.options.send(to, { type: 'console-input', vmId, acknowledged: piece.acknowledged, from: piece.from, data: toBase64(piece.data) });
  }

  private settle(typed: Typed): void {
    this.stopWaiting(typed);
    typed.late = false;
  }

  private stopWaiting(typed: Typed): void {
    typed.again?.dispose();
    typed.again = null;
    typed.againAfterMs = AGAIN_AFTER_MS;
  }
}
