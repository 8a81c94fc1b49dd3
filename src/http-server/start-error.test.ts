import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sentenceForSystemError } from './start-error.ts';

const systemError = (code: string, path?: string): Error =>
  Object.assign(new Error(`${code}: something, open`), { code, syscall: 'open', ...(path === undefined ? {} : { path }) });

it.each([
  ['ENOSPC', '/x/.cache/guest/disk', 'The disk is full (/x/.cache/guest/disk). Free some space and start again'],
  ['EACCES', '/x/.cache/guest', 'This user may not read or write what the server needs (/x/.cache/guest).'],
  ['EROFS', undefined, 'read-only'],
  ['EMFILE', undefined, 'ulimit -n'],
])('a start that ends with %s is a sentence with the way out', (code, path, sentence) => {
  expect(sentenceForSystemError(systemError(code, path))).toContain(sentence);
});

it("any other error of the system is a sentence, too, and an error of the server's own is none", () => {
  let missing: unknown;
  try {
    readFileSync('/nothing/there');
  } catch (error) {
    missing = error;
  }
  expect(sentenceForSystemError(missing)).toMatch(/^The server cannot start: ENOENT/);
  expect(sentenceForSystemError(new TypeError('x is not a function'))).toBeNull();
});
