/**
 * Debian's busybox shell asks the terminal at every prompt where its cursor is ("ESC [ 6 n"), and the terminal answers as
 * if somebody had typed. Where a console is replayed after a move, or watched from two tabs, such answers end up as input
 * of whatever runs. There is no switch for it, so the one instruction that names the question is pointed at the empty
 * string at its end. The question itself stays: other commands use the end of it.
 */
import { elfSection } from './elf.ts';

const QUESTION = '\x1b[6n\0';
const QUESTION_TEXT_BYTES = QUESTION.length - 1;
/** `lea disp32(%reg), %reg`, by which position-independent code names a string relative to its offset table. */
const LEA = 0x8d;
const WHAT = 'busybox';

/** A copy of the busybox binary that asks nothing; null if this binary is not as expected (then it is used as it is). */
export function withoutCursorQuestion(binary: Buffer): Buffer | null {
  const text = elfSection(binary, '.text', WHAT);
  const strings = elfSection(binary, '.rodata', WHAT);
  const table = elfSection(binary, '.got.plt', WHAT) ?? elfSection(binary, '.got', WHAT);
  const within = strings === null ? null : onlyPlace(Buffer.from(strings.content), Buffer.from(QUESTION, 'latin1'));
  if (text === null || strings === null || table === null || within === null) return null;
  const distance = strings.address + within - table.address;
  const reference = onlyPlace(Buffer.from(text.content), word(distance));
  if (reference === null || text.content[reference - 2] !== LEA) return null;
  const changed = Buffer.from(binary);
  word(distance + QUESTION_TEXT_BYTES).copy(changed, text.offset + reference);
  return changed;
}

function onlyPlace(bytes: Buffer, wanted: Buffer): number | null {
  const first = bytes.indexOf(wanted);
  return first < 0 || bytes.indexOf(wanted, first + 1) >= 0 ? null : first;
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
