import { describe, expect, it } from 'vitest';
import { formatBytes, formatCount, formatMemory, formatMs, formatRate, plural } from './format.ts';

describe('figures', () => {
  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1000, '1 kB'],
    [41_900, '41.9 kB'],
    [999_949, '1000 kB'],
    [999_950, '1 MB'],
    [2_200_000, '2.2 MB'],
    [44_200_000, '44.2 MB'],
    [134_217_728, '134 MB'],
    [1_300_000_000, '1.3 GB'],
    [Number.NaN, '–'],
    [-1, '–'],
  ])('%d bytes are written as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0, '0 ms'],
    [0.8, '0.8 ms'],
    [9.94, '9.9 ms'],
    [9.96, '10 ms'],
    [31.4, '31 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [1_240, '1.24 s'],
    [12_340, '12.3 s'],
    [59_999, '1 min 0 s'],
    [125_000, '2 min 5 s'],
    [-1, '–'],
    [Infinity, '–'],
  ])('%d milliseconds are written as %s', (ms, text) => expect(formatMs(ms)).toBe(text));

  it('writes a rate only once there is one', () => {
    expect(formatRate(0)).toBe('–');
    expect(formatRate(18_400_000)).toBe('18.4 MB/s');
  });

  it('writes counts, memory and plurals', () => {
    expect(formatCount(12_345)).toBe('12,345');
    expect(formatMemory(134_217_728)).toBe('128 MiB');
    expect(plural(1, 'round')).toBe('1 round');
    expect(plural(3, 'round')).toBe('3 rounds');
  });
});
