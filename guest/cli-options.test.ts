import { describe, expect, it } from 'vitest';
import { parseCliOptions } from './cli-options.ts';

describe('npm run guest', () => {
  it('builds here, and nothing else, without options', () => {
    expect(parseCliOptions([])).toEqual({ guestUrl: null, exportTo: null, update: false, check: false, help: false });
  });

  it('takes an address and a folder', () => {
    expect(parseCliOptions(['--guest-url', 'https://example.org/guest', '--export', 'out'])).toMatchObject({
      guestUrl: 'https://example.org/guest',
      exportTo: 'out',
    });
  });

  it.each([
    ['an unknown option', ['--fast']],
    ['a word that belongs to no option', ['now']],
    ['an address that is none', ['--guest-url', 'example.org']],
    ['an option without its value', ['--export']],
    ['two options that exclude each other', ['--guest-url', 'http://example.org', '--update']],
  ])('refuses %s', (_, words) => {
    expect(() => parseCliOptions(words)).toThrow();
  });
});
