import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatenated } from './console-bytes.ts';
import { ConsoleInbox, MAX_WRITERS, type InputPiece } from '../vm-host/console-inbox.ts';
import { ConsoleOutbox, MAX_PIECE_BYTES, MAX_WAITING_BYTES } from './console-outbox.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function piecesOf(outbox: ConsoleOutbox): InputPiece[] {
  const pieces: InputPiece[] = [];
  for (let piece = outbox.next(); piece !== null; piece = outbox.next()) pieces.push(piece);
  return pieces;
}

describe('console input on its way', () => {
  it('reaches the guest once, in order and whole, whatever is lost, doubled or late, and wherever the VM is meanwhile', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.constantFrom('type' as const), fc.constantFrom('x', 'y'), fc.string({ unit: 'binary', maxLength: 6 })) },
      fc.tuple(fc.constantFrom('send' as const, 'again' as const), fc.constantFrom('x', 'y')),
      { weight: 4, arbitrary: fc.tuple(fc.constantFrom('deliver' as const, 'double' as const, 'lose' as const, 'late' as const), fc.nat(20)) },
      fc.tuple(fc.constantFrom('move' as const), fc.constantFrom('a', 'b', 'c')),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const outboxes = { x: new ConsoleOutbox(), y: new ConsoleOutbox() };
        const typed = { x: '', y: '' };
        const got: Record<string, Uint8Array[]> = { x: [], y: [] };
        let inbox = new ConsoleInbox();
        let host = 'a';
        type Message = { to: string; writer: 'x' | 'y'; piece: InputPiece } | { writer: 'x' | 'y'; applied: number };
        const wire: Message[] = [];
        const deliver = (message: Message | undefined): void => {
          if (message === undefined) return;
          if ('applied' in message) outboxes[message.writer].acknowledge(message.applied);
          else if (message.to === host) {
            const { fresh, applied } = inbox.take(message.writer, message.piece);
            got[message.writer]!.push(fresh);
            wire.push({ writer: message.writer, applied });
          }
        };
        const send = (writer: 'x' | 'y'): void => {
          for (const piece of piecesOf(outboxes[writer])) wire.push({ to: host, writer, piece });
        };
        for (const now of steps) {
          if (now[0] === 'type') {
            outboxes[now[1] as 'x'].write(now[2]);
            typed[now[1] as 'x'] += now[2];
          } else if (now[0] === 'send') send(now[1]);
          else if (now[0] === 'again') outboxes[now[1] as 'x'].again();
          else if (now[0] === 'move') {
            host = now[1];
            inbox = new ConsoleInbox(inbox.state());
          } else if (now[0] === 'deliver') deliver(wire.shift());
          else if (now[0] === 'double') deliver(wire[0]);
          else if (now[0] === 'lose') wire.shift();
          else deliver(wire.splice((now[1] as number) % Math.max(1, wire.length), 1)[0]);
        }
        for (const writer of ['x', 'y'] as const) {
          // The other half of a character that was left cut in two.
          outboxes[writer].write('.');
          typed[writer] += '.';
          for (let round = 0; round < 2; round++) {
            outboxes[writer].again();
            send(writer);
            while (wire.length > 0) deliver(wire.shift());
          }
          expect(outboxes[writer].isEmpty).toBe(true);
          expect(text(concatenated(got[writer]!))).toBe(text(new TextEncoder().encode(typed[writer])));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('sends a long paste in pieces, a few at a time, with no character cut in two at the guest', () => {
    const outbox = new ConsoleOutbox();
    const inbox = new ConsoleInbox();
    const paste = `${'x'.repeat(MAX_PIECE_BYTES - 1)}${'😀'.repeat(100_000)}`;
    expect(outbox.write(paste)).toBe(true);
    let got = new Uint8Array(0);
    while (!outbox.isEmpty) {
      const pieces = piecesOf(outbox);
      expect(pieces.length).toBeLessThanOrEqual(4);
      for (const piece of pieces) {
        expect(piece.data.length).toBeLessThanOrEqual(MAX_PIECE_BYTES);
        const { fresh, applied } = inbox.take('tab', piece);
        got = concatenated([got, fresh]) as Uint8Array<ArrayBuffer>;
        outbox.acknowledge(applied);
      }
    }
    expect(text(got)).toBe(paste);
  });

  it('joins the halves of a character that come in two texts', () => {
    const outbox = new ConsoleOutbox();
    outbox.write('a\ud83d');
    expect(outbox.waitingCharacters).toBe(1);
    outbox.write('\ude00b');
    expect(text(outbox.next()!.data)).toBe('a😀b');
    expect(outbox.waitingCharacters).toBe(3);
  });

  it('takes no more than its bound, and then nothing of a text', () => {
    const outbox = new ConsoleOutbox();
    expect(outbox.write('x'.repeat(MAX_WAITING_BYTES - 1))).toBe(true);
    expect(outbox.write('yz')).toBe(false);
    expect(outbox.write('y')).toBe(true);
    expect(outbox.waitingCharacters).toBe(MAX_WAITING_BYTES);
  });

  it('ignores an acknowledgement of what was never typed', () => {
    const outbox = new ConsoleOutbox();
    outbox.write('abc');
    for (const wrong of [-1, 4, 1e15]) outbox.acknowledge(wrong);
    expect(outbox.waitingCharacters).toBe(3);
  });

  it('goes on after the VM was given back to a host that had not heard of the last bytes', () => {
    const outbox = new ConsoleOutbox();
    const source = new ConsoleInbox();
    const target = new ConsoleInbox(source.state());
    outbox.write('lost with the target ');
    outbox.acknowledge(target.take('tab', outbox.next()!).applied);
    outbox.write('here');
    const { fresh, applied } = source.take('tab', outbox.next()!);
    expect(text(fresh)).toBe('here');
    outbox.acknowledge(applied);
    expect(outbox.isEmpty).toBe(true);
  });

  it('remembers the tabs that typed last', () => {
    const inbox = new ConsoleInbox();
    const piece = { acknowledged: 0, from: 0, data: Uint8Array.of(1) };
    for (let tab = 0; tab < MAX_WRITERS + 10; tab++) {
      inbox.take('first', piece);
      inbox.take(`tab ${tab}`, piece);
    }
    expect(inbox.state()).toHaveLength(MAX_WRITERS);
    expect(inbox.take('first', piece).fresh).toHaveLength(0);
  });
});
