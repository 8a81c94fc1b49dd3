/**
 * The network card of one copy of the guest. It takes frames while the guest runs, and checks their numbers: the guest,
 * whichever copy of it runs, gets each frame once and in order (I4).
 */
import type { ModelVm } from '../../../migration/testing/model-vm.ts';
import type { Disposable } from '../../../shared/disposable.ts';
import { Emitter } from '../../../shared/emitter.ts';
import type { PortNic } from '../../client/inbound-queue.ts';
import { numberOf } from '../relay-harness.ts';

export class GuestCard implements PortNic {
  /** The last number this copy of the guest has seen. */
  last = 0;
  /** Numbers that it never saw. */
  missed = 0;
  private readonly name: string;
  private readonly violation: (what: string) => void;
  private readonly out = new Emitter<Uint8Array>();
  private readonly ready = new Emitter<undefined>();
  private vm: ModelVm | null = null;

  constructor(name: string, violation: (what: string) => void) {
    this.name = name;
    this.violation = violation;
  }

  get listeners(): number {
    return this.out.listenerCount + this.ready.listenerCount;
  }

  plug(vm: ModelVm): void {
    this.vm = vm;
  }

  /** The guest goes on from where that copy of it was stopped. */
  continues(other: GuestCard): void {
    this.last = other.last;
    this.missed = other.missed;
  }

  /** The guest has run a little. */
  hasRoom(): void {
    this.ready.emit(undefined);
  }

  send(frame: Uint8Array): void {
    this.out.emit(frame);
  }

  deliver(frame: Uint8Array): boolean {
    if (this.vm?.running !== true) return false;
    // A frame that is not IPv4 is the relay's announcement.
    if (frame[12] !== 0x08 || frame[13] !== 0x00) return true;
    const number = numberOf(frame);
    if (number <= this.last) this.violation(`I4: the ${this.name}'s guest got frame ${number} after frame ${this.last}`);
    this.missed += Math.max(0, number - this.last - 1);
    this.last = Math.max(this.last, number);
    return true;
  }

  onReady(listener: () => void): Disposable {
    return this.ready.on(listener);
  }

  onFrame(listener: (frame: Uint8Array) => void): Disposable {
    return this.out.on(listener);
  }
}
