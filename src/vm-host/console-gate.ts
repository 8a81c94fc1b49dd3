/**
 * The VM worker's side of the console. Output is passed on as bytes, in order and counted. Input is given to the guest
 * once. Input that comes while the VM is stopped for a switchover is not acknowledged, and reaches the guest wherever
 * it runs next. Input that does not fit into the guest's serial port is not acknowledged either; it is sent again until
 * it fits.
 */
import type { Machine } from '../emulator-bridge/machine.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { HostId } from '../shared/ids.ts';
import { ConsoleInbox, type InputPiece } from './console-inbox.ts';
import type { ConsoleLuggage } from './console-luggage.ts';

/** Most pieces that are kept while the VM is stopped, so that it need not wait until they are sent again. */
export const MAX_HELD_PIECES = 64;

export interface ConsoleInputHeard {
  readonly writer: HostId;
  readonly piece: InputPiece;
}

export interface ConsoleGateEvents {
  output(data: Uint8Array): void;
  /** The guest has been given the first `count` bytes of what this host typed. */
  applied(writer: HostId, count: number): void;
}

export class ConsoleGate implements Disposable {
  private readonly machine: Pick<Machine, 'console' | 'scrollback'>;
  private readonly events: ConsoleGateEvents;
  private readonly listening: Disposable;
  private readonly inbox: ConsoleInbox;
  private printed: number;
  private held: ConsoleInputHeard[] | null = null;

  /** `luggage`: given for a VM that arrives. A new VM has already printed the scroll-back of its snapshot. */
  constructor(machine: Pick<Machine, 'console' | 'scrollback'>, events: ConsoleGateEvents, luggage: ConsoleLuggage | null = null) {
    this.machine = machine;
    this.events = events;
    this.inbox = new ConsoleInbox(luggage?.applied);
    this.printed = luggage?.printed ?? machine.scrollback().length;
    this.listening = machine.console.onData((bytes) => {
      this.printed += bytes.length;
      events.output(bytes);
    });
  }

  /** To be called after saveDevices(): by then all output has been passed on, and all input is part of the saved state. */
  luggage(): ConsoleLuggage {
    return { printed: this.printed, applied: this.inbox.state() };
  }

  input(heard: ConsoleInputHeard): void {
    if (this.held !== null) {
      if (this.held.length < MAX_HELD_PIECES) this.held.push(heard);
      return;
    }
    const { fresh, applied } = this.inbox.take(heard.writer, heard.piece, this.machine.console.room);
    if (fresh.length > 0) this.machine.console.write(fresh);
    this.events.applied(heard.writer, applied);
  }

  /** From now on, the guest gets no input. */
  hold(): void {
    this.held ??= [];
  }

  /** The VM continues here: it gets the input that was held back. */
  release(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const heard of held) this.input(heard);
  }

  dispose(): void {
    this.listening.dispose();
  }
}
