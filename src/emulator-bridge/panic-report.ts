/**
 * Decides from a kernel's output what happens to the guest after the kernel has reported a panic (panic-device.ts).
 * Only a panic that the device reported counts: the same text printed by a program means nothing.
 */

/**
 * Linux's messages (kernel/panic.c): it prints the reason first, and again in its last line. That line only counts once
 * its line end is there: a tick may end in the middle of the line.
 */
const REASON = /(?<!end )Kernel panic - not syncing: ([^\r\n]*)/g;
const LAST_LINE = /---\[ end Kernel panic[^\n]*\n/;
/** With `kernel.panic` set above 0, the kernel restarts the machine itself. */
const RESTARTS = /Rebooting in \d+ seconds/;
/** A kernel that has not printed its last line after this many instructions, about a second, never will. */
const PRINTING_LIMIT_INSTRUCTIONS = 100_000_000;
/** A reason is one line of the kernel's output; a longer one is not a sentence. */
const LONGEST_REASON = 200;

export type PanicStage =
  /** The kernel is still printing. */
  | { readonly kind: 'printing' }
  /** It restarts the machine: the guest goes on. */
  | { readonly kind: 'restarts' }
  /** It does nothing any more. The sentence is for people. */
  | { readonly kind: 'over'; readonly sentence: string };

/** `printed`: the end of the console's output. `instructions`: executed since the report. */
export function panicStage(printed: string, instructions: number): PanicStage {
  const last = [...printed.matchAll(REASON)].at(-1);
  const after = last === undefined ? '' : printed.slice(last.index + last[0].length);
  if (RESTARTS.test(after)) return { kind: 'restarts' };
  if (!LAST_LINE.test(after) && instructions < PRINTING_LIMIT_INSTRUCTIONS) return { kind: 'printing' };
  return { kind: 'over', sentence: panicSentence(last?.[1]) };
}

/** The sentence for a panic, with the kernel's reason if it has printed one. */
function panicSentence(reason: string | undefined): string {
  const plain =
    reason
      ?.replaceAll(/[^\x20-\x7e]/g, '')
      .trim()
      .slice(0, LONGEST_REASON) ?? '';
  return plain === '' ? "The guest's kernel panicked." : `The guest's kernel panicked: ${plain}.`;
}
