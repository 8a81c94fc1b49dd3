/** Licences out of Debian's copyright files, as far as a program can read them. */

/** Well-known texts in files that are not in the machine-readable format, most telling first. */
const PHRASES: readonly (readonly [RegExp, string])[] = [
  [/GNU LESSER GENERAL PUBLIC LICENSE.*version 3|Lesser General Public[\s\S]{0,200}version 3/i, 'LGPL-3'],
  [/Lesser General Public/i, 'LGPL-2.1'],
  [/Library General Public/i, 'LGPL-2'],
  [/GNU General Public License[\s\S]{0,200}version 3|GPL-3/i, 'GPL-3'],
  [/GNU General Public License|GPL-2/i, 'GPL-2'],
  [/Permission is hereby granted, free of charge/i, 'MIT'],
  [/Redistribution and use in source and binary forms/i, 'BSD'],
  [/without any express or implied warranty[\s\S]{0,400}misrepresented/i, 'Zlib'],
  [/public domain/i, 'public-domain'],
];

/**
 * The licences a copyright file names, e.g. `GPL-2+, BSD-3-clause`, most used first; `see copyright file` where none is
 * recognised. The whole file is in the guest under /usr/share/doc.
 */
export function licencesIn(copyright: string): string {
  const counts = new Map<string, number>();
  for (const match of copyright.matchAll(/^License:[ \t]*(\S[^\n]*)$/gim)) {
    for (const name of (match[1] ?? '').split(/\s+(?:and|or)\s+|,\s*/i)) {
      const short = name.trim().replace(/\s.*$/, '');
      if (short !== '') counts.set(short, (counts.get(short) ?? 0) + 1);
    }
  }
  if (counts.size > 0)
    return [...counts]
      .sort(([, a], [, b]) => b - a)
      .map(([name]) => name)
      .join(', ');
  const found = PHRASES.filter(([phrase]) => phrase.test(copyright)).map(([, name]) => name);
  return found.length > 0 ? found.join(', ') : 'see copyright file';
}
