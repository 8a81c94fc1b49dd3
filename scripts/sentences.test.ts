import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../src/', import.meta.url));
/** A template that begins like a sentence, and has a word before an expression that is named like an id. */
const ID_IN_A_SENTENCE = /`[A-Z][^`$]*(?:\$\{[^}]*\}[^`$]*)*? [^`]*\$\{[\w.]*(?:\bid|Id|\.to|\.from|[oO]wner)\}/;

it('no sentence contains the id of a host or a VM, which nobody can read', () => {
  const found = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.includes('testing'))
    .flatMap((path) =>
      readFileSync(join(SRC, path), 'utf8')
        .split('\n')
        .filter((line) => ID_IN_A_SENTENCE.test(line))
        .map((line) => `${path}: ${line.trim()}`),
    );
  expect(found).toEqual([]);
  expect(ID_IN_A_SENTENCE.test('`There is no host with the id ${targetId} in this room.`')).toBe(true);
  expect(ID_IN_A_SENTENCE.test('`It is too late to cancel: the VM runs on ${report.to} now.`')).toBe(true);
});
