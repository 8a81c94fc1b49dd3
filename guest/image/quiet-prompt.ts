/**
 * At every prompt, Debian's busybox shell asks the terminal for the cursor's position ("ESC [ 6 n"), and the terminal
 * answers as if somebody had typed. When a console is replayed after a move, or watched from two tabs, such answers
 * become input of the running program. No option turns this off, so we patch the one instruction that refers to the
 * question: it refers to the empty string at the question's end instead. The question itself stays: other commands use
 * its end.
 */
import { elfSection } from './elf.ts';

const QUESTION = '\x1b[6n\0';
const QUESTION_TEXT_BYTES = QUESTION.length - 1;
/** `lea disp32(%reg), %reg`, with which position-independent code addresses a string relative to its offset table. */
const LEA = 0x8d;
const WHAT = 'busybox';

/** A copy of the busybox binary that does not ask; null if this binary is not as expected (then it is used unchanged). */
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
