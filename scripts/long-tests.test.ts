import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LONE_TESTS, LONG_TESTS, LONGEST_TESTS, QUICK_BROWSER_TEST } from './long-tests.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('the tests that npm test leaves out, and the one in a browser that it runs', () => {
  it('exist', () => {
    expect([...LONG_TESTS, ...LONGEST_TESTS].filter((file) => !existsSync(`${root}${file}`))).toEqual([]);
    expect(LONE_TESTS.filter((file) => !LONG_TESTS.includes(file))).toEqual([]);
    expect(readFileSync(`${root}e2e/migration.e2e.ts`, 'utf8')).toContain(`test('${QUICK_BROWSER_TEST} `);
  });
});
