import { describe, expect, it } from 'vitest';
import { tinyElf } from '../testing/tiny-elf.ts';
import { withoutCursorQuestion } from './quiet-prompt.ts';

const STRINGS_AT = 0x1000;
const TABLE_AT = 0x9000;
const strings = Buffer.from('\x1b[999;999H\x1b[6n\0prompt\0', 'latin1');
const distance = STRINGS_AT + strings.indexOf('\x1b[6n') - TABLE_AT;

/** `lea distance(%ebx), %eax`, between other instructions. */
function code(...references: number[]): Buffer {
  return Buffer.concat(
    references.map((reference) => {
      const instruction = Buffer.from([0x90, 0x8d, 0x83, 0, 0, 0, 0, 0xc3]);
      instruction.writeInt32LE(reference, 3);
      return instruction;
    }),
  );
}

function busybox(text: Buffer, rodata = strings): Buffer {
  return tinyElf({
    sections: [
      { name: '.text', address: 0x100, content: text },
      { name: '.rodata', address: STRINGS_AT, content: rodata },
      { name: '.got', address: TABLE_AT, content: Buffer.alloc(4) },
    ],
  });
}

describe('the prompt', () => {
  it('asks for the empty string in place of the cursor, and leaves everything else as it was', () => {
    const before = busybox(code(1234, distance, 5678));
    const after = withoutCursorQuestion(before)!;
    expect(after.includes(code(1234, distance + 4, 5678))).toBe(true);
    expect(after.includes(strings)).toBe(true);
    expect(after.filter((byte, index) => byte !== before[index])).toHaveLength(1);
  });

  it.each([
    ['has no such question', busybox(code(distance), Buffer.from('prompt\0'))],
    ['names it twice', busybox(code(distance, distance))],
    ['names it nowhere', busybox(code(1234))],
    ['names it in something that is no lea', ((): Buffer => busybox(Buffer.from(code(distance).map((byte) => (byte === 0x8d ? 0x81 : byte)))))()],
    ['has lost its section names', tinyElf({})],
  ])('is left alone in a busybox that %s', (_, binary) => {
    expect(withoutCursorQuestion(binary)).toBeNull();
  });
});
