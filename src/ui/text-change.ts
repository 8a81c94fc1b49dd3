/** A change at the end of a text: `erased` characters are removed, then `typed` is added. Characters are code points. */
export interface TextChange {
  readonly erased: number;
  readonly typed: string;
}

/** The shortest change at the end that turns `before` into `after`. */
export function textChange(before: string, after: string): TextChange {
  const old = Array.from(before);
  const now = Array.from(after);
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) same++;
  return { erased: old.length - same, typed: now.slice(same).join('') };
}
