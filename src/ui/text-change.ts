/** What was done to a text at its end: so many characters erased, then these typed. Characters are code points. */
export interface TextChange {
  readonly erased: number;
  readonly typed: string;
}

/** The shortest change at the end that makes `after` of `before`. */
export function textChange(before: string, after: string): TextChange {
  const old = Array.from(before);
  const now = Array.from(after);
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) same++;
  return { erased: old.length - same, typed: now.slice(same).join('') };
}
