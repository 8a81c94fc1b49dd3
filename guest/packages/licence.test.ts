import { describe, expect, it } from 'vitest';
import { licencesIn } from './licence.ts';

describe('licences in a copyright file', () => {
  it('are read from the machine-readable format, most used first', () => {
    expect(licencesIn('Files: *\nLicense: GPL-2\n\nFiles: a\nLicense: MIT\n\nFiles: b\nLicense: MIT\n\nLicense: GPL-2\n text\n\nLicense: MIT\n text\n')).toBe(
      'MIT, GPL-2',
    );
    expect(licencesIn('Files: *\nLicense: GPL-2+ or Artistic\n')).toBe('GPL-2+, Artistic');
  });

  it('are recognised by their words elsewhere', () => {
    expect(licencesIn('... under the terms of the GNU General Public License, version 2 ...')).toBe('GPL-2');
    expect(licencesIn('Permission is hereby granted, free of charge, to any person')).toBe('MIT');
  });

  it('are not guessed', () => {
    expect(licencesIn('All rights reserved.')).toBe('see copyright file');
  });
});
