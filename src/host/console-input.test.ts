import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId, VmId } from '../shared/ids.ts';
import { concatenated } from './console-bytes.ts';
import { ConsoleInput } from './console-input.ts';
import { ConsoleInbox, type InputPiece } from '../vm-host/console-inbox.ts';
import type { HostMessage } from './host-messages.ts';
import { vmOwner } from './vm-owner.ts';
import { ConsoleGate } from '../vm-host/console-gate.ts';
import { systemClock } from '../shared/system-clock.ts';

const VM = 'vm-1' as VmId;
const [A, B, C] = ['a', 'b', 'c'] as [HostId, HostId, HostId];

/** A room of three tabs. Its relay delivers when told to, and loses messages from and to tabs that are cut off. The VM begins in A. */
class Room {
  readonly inputs = new Map<HostId, ConsoleInput>();
  readonly lost: string[] = [];
  /** What the guest was given. */
  readonly got: Uint8Array[] = [];
  readonly cut = new Set<HostId>();
  private readonly listed = new Map<HostId, HostId | null>([
    [A, A],
    [B, A],
    [C, A],
  ]);
  private readonly movedTo = new Map<HostId, HostId>();
  private queue: { from: HostId; to: HostId; message: HostMessage }[] = [];
  private home: { readonly host: HostId; readonly gate: ConsoleGate } | null;
  arrivingAt: HostId | null = null;
  /** How many bytes the guest's serial port takes; it drops the rest. */
  space = Infinity;

  constructor() {
    this.home = this.makeHome(A, new ConsoleInbox());
    for (const self of [A, B, C]) {
      this.inputs.set(
        self,
        new ConsoleInput({
          clock: systemClock,
          self,
          send: (to, message) => {
            if (!this.cut.has(self)) this.queue.push({ from: self, to, message });
          },
          ownerNow: () => vmOwner({ self, listed: this.listed.get(self) ?? null, here: this.hereAt(self), movedTo: this.movedTo.get(self) ?? null }),
          local: () => {
            const here = this.hereAt(self);
            return here === null
              ? null
              : {
                  state: { kind: here },
                  input: (writer: HostId, piece: InputPiece) => (here === 'settled' ? this.home?.gate.input({ writer, piece }) : undefined),
                };
          },
          changed: () => undefined,
          lost: (_vmId, characters) => this.lost.push(`${self} ${characters}`),
        }),
      );
    }
  }

  tab(id: HostId): ConsoleInput {
    return this.inputs.get(id)!;
  }

  get text(): string {
    return new TextDecoder().decode(concatenated(this.got));
  }

  hold(): void {
    this.home?.gate.hold();
  }

  release(): void {
    this.home?.gate.release();
  }

  /** The VM moves; only source and target know at once. */
  move(to: HostId): void {
    if (this.home === null || this.home.host === to) return;
    const { host: from, gate } = this.home;
    gate.hold();
    this.home = this.makeHome(to, new ConsoleInbox(gate.luggage().applied));
    this.movedTo.set(from, to);
    this.movedTo.delete(to);
    for (const id of [from, to]) this.tab(id).roomChanged();
  }

  end(): void {
    this.home = null;
    this.movedTo.clear();
    for (const id of [A, B, C]) this.listed.set(id, null);
    for (const id of [A, B, C]) this.tab(id).roomChanged();
  }

  /** The relay tells where the VM is. */
  tell(): void {
    for (const id of [A, B, C]) {
      if (this.cut.has(id)) continue;
      this.listed.set(id, this.home?.host ?? null);
      this.tab(id).roomChanged();
    }
  }

  lose(id: HostId): void {
    this.cut.add(id);
    this.queue = this.queue.filter(({ to }) => to !== id);
  }

  back(id: HostId): void {
    if (this.cut.delete(id)) this.tab(id).returned();
  }

  deliver(): void {
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
      const { from, to, message } = next;
      if (this.cut.has(to)) continue;
      if (message.type === 'console-input') this.tab(to).receive(from, message);
      if (message.type === 'console-applied') this.tab(to).acknowledged(from, message.vmId, message.count);
    }
  }

  settle(): void {
    this.release();
    for (const id of [A, B, C]) this.back(id);
    this.tell();
    for (let round = 0; round < 4; round++) {
      this.deliver();
      vi.advanceTimersByTime(9000);
    }
    this.deliver();
  }

  private hereAt(self: HostId): 'arriving' | 'settled' | null {
    if (this.home?.host === self) return 'settled';
    return this.arrivingAt === self ? 'arriving' : null;
  }

  private makeHome(host: HostId, inbox: ConsoleInbox): { readonly host: HostId; readonly gate: ConsoleGate } {
    const takesBytes = (bytes: Uint8Array): void => {
      const taken = bytes.subarray(0, this.space);
      this.space -= taken.length;
      this.got.push(taken);
    };
    const space = (): number => this.space;
    const machine = {
      console: {
        get room() {
          return space();
        },
        write: takesBytes,
        onData: () => ({ dispose: () => undefined }),
      },
      scrollback: () => new Uint8Array(0),
    };
    const gate = new ConsoleGate(
      machine,
      {
        output: () => undefined,
        applied: (writer, count) => this.tab(host).applied(VM, writer, count),
      },
      { printed: 0, applied: inbox.state() },
    );
    return { host, gate };
  }
}

describe('ConsoleInput', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('gives what is typed to the VM here, or to the host that has it', () => {
    const room = new Room();
    room.tab(A).write(VM, 'here ');
    room.tab(C).write(VM, 'there');
    room.deliver();
    expect(room.text).toBe('here there');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('loses none of 200 characters that are typed in a watching tab while the server restarts, and says how many wait', () => {
    const room = new Room();
    const typed = 'x0123456789'.repeat(19).slice(0, 200);
    Array.from(typed).forEach((character, at) => {
      if (at === 60) [A, C].forEach((id) => room.lose(id));
      if (at === 140) room.back(A);
      if (at === 150) room.back(C);
      room.tab(C).write(VM, character);
      vi.advanceTimersByTime(50);
      if (at === 135) expect(room.tab(C).waitingFor(VM)).toBe(76);
      room.deliver();
    });
    room.settle();
    expect(room.text).toBe(typed);
    expect(room.tab(C).waitingFor(VM)).toBe(0);
  });

  it('gives what was typed while the VM stood still for a move to the target, or to the source if it runs on', () => {
    const room = new Room();
    room.hold();
    room.tab(A).write(VM, 'x');
    room.tab(C).write(VM, 'y');
    room.deliver();
    expect(room.text).toBe('');
    room.move(B);
    room.settle();
    expect(Array.from(room.text).sort()).toEqual(['x', 'y']);
    room.hold();
    room.tab(C).write(VM, 'z');
    room.deliver();
    room.release();
    expect(room.text.at(-1)).toBe('z');
  });

  it('keeps what the guest does not read until its serial port has room for it', () => {
    const room = new Room();
    const typed = 'x0123456789'.repeat(20_000);
    room.space = 100_000;
    room.tab(A).write(VM, typed);
    room.tab(C).write(VM, 'y');
    room.settle();
    expect(room.text).toBe(typed.slice(0, 100_000));
    expect(room.tab(A).waitingFor(VM)).toBe(120_000);
    expect(room.tab(C).waitingFor(VM)).toBe(1);
    room.space = 30_000;
    room.settle();
    expect(room.tab(A).waitingFor(VM) + room.tab(C).waitingFor(VM)).toBe(90_001);
    room.space = Infinity;
    room.settle();
    expect(room.text.replace('y', '')).toBe(typed);
    expect(room.text).toContain('y');
    expect(room.tab(A).waitingFor(VM)).toBe(0);
  });

  it('types into the source while the VM is on its way here', () => {
    const room = new Room();
    room.arrivingAt = B;
    room.tab(B).write(VM, 'x');
    room.deliver();
    expect(room.text).toBe('x');
  });

  it('names a VM that the room does not have, says what was lost with one that ended, and refuses more than it can keep', () => {
    const room = new Room();
    room.lose(C);
    room.tab(C).write(VM, 'żó');
    expect(() => room.tab(C).write(VM, 'x'.repeat(1024 * 1024))).toThrow('This was not typed: 1024 KiB wait for the VM already');
    room.end();
    expect(room.lost).toEqual(['c 2']);
    expect(() => room.tab(C).write(VM, 'x')).toThrow('There is no such VM in this room.');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('takes no word of what arrived from a host that has not got it', () => {
    const room = new Room();
    room.tab(C).write(VM, 'x');
    room.tab(C).acknowledged(B, VM, 1);
    vi.advanceTimersByTime(1000);
    expect(room.tab(C).waitingFor(VM)).toBe(1);
    room.tab(C).acknowledged(A, VM, 1);
    expect(room.tab(C).waitingFor(VM)).toBe(0);
  });

  it('says of a text that never fits that it is to be written in parts', () => {
    const room = new Room();
    const sentence = 'At most 1024 KiB can be typed at once; write it in parts.';
    expect(() => room.tab(A).write(VM, 'ż'.repeat(512 * 1024 + 1))).toThrow(sentence);
    room.lose(C);
    room.tab(C).write(VM, 'x');
    expect(() => room.tab(C).write(VM, 'x'.repeat(1024 * 1024 + 1))).toThrow(sentence);
    expect(() => room.tab(C).writeBytes(VM, new Uint8Array(1024 * 1024 + 1))).toThrow(sentence);
    expect(() => room.tab(C).writeBytes(VM, new Uint8Array(1024 * 1024))).toThrow('1024 KiB wait for the VM already');
  });

  it('is sent again ever less often while nobody takes it, and at once when the relay answers again', () => {
    const sentAt: number[] = [];
    const begin = Date.now();
    const input = new ConsoleInput({
      self: C,
      clock: systemClock,
      send: () => sentAt.push(Date.now() - begin),
      ownerNow: () => A,
      local: () => null,
      changed: () => undefined,
      lost: () => undefined,
    });
    input.write(VM, 'x');
    vi.advanceTimersByTime(40_000);
    expect(sentAt).toEqual([0, 1000, 3000, 7000, 15_000, 23_000, 31_000, 39_000]);
    sentAt.length = 0;
    input.returned();
    vi.advanceTimersByTime(2000);
    expect(sentAt).toEqual([40_000, 41_000]);
    input.acknowledged(A, VM, 1);
    sentAt.length = 0;
    input.write(VM, 'y');
    vi.advanceTimersByTime(1000);
    expect(sentAt).toEqual([42_000, 43_000]);
    input.dispose();
  });

  it('keeps nothing of a VM that is gone', () => {
    let owner: HostId | null = A;
    const sent: HostMessage[] = [];
    const input = new ConsoleInput({
      self: C,
      clock: systemClock,
      send: (_to, message) => sent.push(message),
      ownerNow: () => owner,
      local: () => null,
      changed: () => undefined,
      lost: () => undefined,
    });
    input.write(VM, 'x');
    input.acknowledged(A, VM, 1);
    owner = null;
    input.roomChanged();
    owner = A;
    input.write(VM, 'y');
    // A new stream.
    expect(sent.at(-1)).toMatchObject({ acknowledged: 0, from: 0 });
    input.dispose();
  });

  it("gives every tab's input to the guest once and in order, whoever loses the relay and wherever the VM moves", () => {
    const who = fc.constantFrom(A, B, C);
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.constant('type' as const), who) },
      fc.tuple(fc.constantFrom('lose' as const, 'back' as const, 'move' as const), who),
      fc.tuple(fc.constantFrom('full' as const, 'roomy' as const), who),
      fc.tuple(fc.constantFrom('hold' as const, 'release' as const, 'tell' as const, 'wait' as const), who),
      { weight: 3, arbitrary: fc.tuple(fc.constant('deliver' as const), who) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const room = new Room();
        const typed: Record<string, string> = { a: '', b: '', c: '' };
        let count = 0;
        for (const [what, id] of steps) {
          if (what === 'type') {
            const text = `${id}${count++}€ `;
            typed[id] = `${typed[id] ?? ''}${text}`;
            room.tab(id).write(VM, text);
          } else if (what === 'full') room.space = 0;
          else if (what === 'roomy') room.space = Infinity;
          else if (what === 'wait') vi.advanceTimersByTime(700);
          else if (what === 'tell' || what === 'hold' || what === 'release' || what === 'deliver') room[what]();
          else room[what](id);
        }
        room.space = Infinity;
        room.settle();
        for (const id of [A, B, C])
          expect(
            room.text
              .split(' ')
              .filter((word) => word.startsWith(id))
              .map((word) => `${word} `)
              .join(''),
          ).toBe(typed[id]);
        expect(room.text.length).toBe(Object.values(typed).join('').length);
        expect(vi.getTimerCount()).toBe(0);
      }),
      { numRuns: 400 },
    );
  });
});
