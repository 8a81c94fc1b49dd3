/** The smallest ELF files that the recipe's readers accept, for tests. */

export interface TinySegment {
  readonly address: number;
  readonly content: Uint8Array;
  readonly memoryBytes?: number;
}

export interface TinySection {
  readonly name: string;
  readonly address?: number;
  readonly content: Uint8Array;
}

const HEADER_BYTES = 52;
const SEGMENT_BYTES = 32;
const SECTION_BYTES = 40;

export function tinyElf(options: { readonly entry?: number; readonly segments?: readonly TinySegment[]; readonly sections?: readonly TinySection[] }): Buffer {
  const segments = options.segments ?? [];
  const names = Buffer.from(`\0${(options.sections ?? []).map((section) => `${section.name}\0`).join('')}.shstrtab\0`);
  const sections: TinySection[] = [...(options.sections ?? []), { name: '.shstrtab', content: names }];
  const contents = [...segments, ...sections].map((part) => Buffer.from(part.content));
  const start = HEADER_BYTES + segments.length * SEGMENT_BYTES + (sections.length + 1) * SECTION_BYTES;
  const offsets = contents.map((_, index) => start + contents.slice(0, index).reduce((sum, content) => sum + content.length, 0));

  const header = Buffer.alloc(start);
  header.write('\x7fELF\x01\x01\x01', 'latin1');
  const words = (at: number, values: readonly number[]): void => values.forEach((value, index) => header.writeUInt32LE(value, at + index * 4));
  words(24, [options.entry ?? 0, HEADER_BYTES, HEADER_BYTES + segments.length * SEGMENT_BYTES]);
  [HEADER_BYTES, SEGMENT_BYTES, segments.length, SECTION_BYTES, sections.length + 1, sections.length].forEach((value, index) =>
    header.writeUInt16LE(value, 40 + index * 2),
  );
  segments.forEach(({ address, content, memoryBytes }, index) => {
    words(HEADER_BYTES + index * SEGMENT_BYTES, [
      1,
      offsets[index] ?? 0,
      address + 0xc0000000 - 2 ** 32 * Math.floor((address + 0xc0000000) / 2 ** 32),
      address,
      content.length,
      memoryBytes ?? content.length,
    ]);
  });
  sections.forEach(({ name, address, content }, index) => {
    const at = HEADER_BYTES + segments.length * SEGMENT_BYTES + (index + 1) * SECTION_BYTES;
    words(at, [names.indexOf(`\0${name}\0`) + 1, 1, 0, address ?? 0, offsets[segments.length + index] ?? 0, content.length]);
  });
  return Buffer.concat([header, ...contents]);
}
