import { describe, expect, it } from 'vitest';
import { tinyElf } from '../testing/tiny-elf.ts';
import { elfSection, flattenElf, neededLibraries } from './elf.ts';

describe('ELF', () => {
  it('is laid out as it stands in memory, with the zeros between and behind its segments', () => {
    const file = tinyElf({
      entry: 0x1000000,
      segments: [
        { address: 0x1000000, content: Uint8Array.of(1, 2, 3) },
        { address: 0x1000008, content: Uint8Array.of(9), memoryBytes: 20 },
      ],
    });
    expect(flattenElf(file, 'the kernel')).toEqual({
      entry: 0x1000000,
      address: 0x1000000,
      bytes: Uint8Array.of(1, 2, 3, 0, 0, 0, 0, 0, 9),
      zeroedBytes: 19,
    });
  });

  it('gives the content and place of a section by its name', () => {
    const file = tinyElf({ sections: [{ name: '.modinfo', address: 64, content: Buffer.from('depends=jbd2,crc16\0') }] });
    expect(Buffer.from(elfSection(file, '.modinfo', 'ext4.ko')!.content).toString()).toBe('depends=jbd2,crc16\0');
    expect(elfSection(file, '.modinfo', 'ext4.ko')!.address).toBe(64);
    expect(elfSection(file, '.text', 'ext4.ko')).toBeNull();
  });

  it('names the libraries a program needs', () => {
    const names = Buffer.from('\0libc.so.6\0libz.so.1\0');
    const dynamic = Buffer.alloc(32);
    [1, 1, 5, 0x1234, 1, 11, 0, 0].forEach((word, index) => dynamic.writeUInt32LE(word, index * 4));
    const file = tinyElf({
      sections: [
        { name: '.dynamic', content: dynamic },
        { name: '.dynstr', content: names },
      ],
    });
    expect(neededLibraries(file, 'dropbear')).toEqual(['libc.so.6', 'libz.so.1']);
    expect(neededLibraries(tinyElf({}), 'static')).toEqual([]);
  });

  it.each([
    ['something else', Buffer.from('#!/bin/sh\n'.padEnd(100))],
    ['a file that is cut off', tinyElf({}).subarray(0, 20)],
    [
      'a 64-bit file',
      ((): Buffer => {
        const file = tinyElf({});
        file[4] = 2;
        return file;
      })(),
    ],
    ['nothing to load', tinyElf({})],
  ])('refuses %s by name', (_, file) => {
    expect(() => flattenElf(file, 'the kernel')).toThrow(/the kernel (is not a 32-bit ELF file|has nothing to load)/);
  });
});
