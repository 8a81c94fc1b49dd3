import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowHosts, foreignHostSentence } from './host-names.ts';

describe('the check of the Host header (NR1)', () => {
  const allows = allowHosts(['TabMotion.example', 'bücher.example', 'fe80::1', 'nas']);

  it.each([
    'localhost',
    'localhost:8686',
    'LOCALHOST:1',
    'a.localhost',
    '127.0.0.1',
    '127.8.9.1:80',
    '[::1]',
    '[::1]:8686',
    '10.0.0.7:8686',
    '[fe80::2]',
    'tabmotion.example',
    'TABMOTION.EXAMPLE:443',
    'tabmotion.example.',
    'xn--bcher-kva.example',
    'nas:8686',
    undefined,
  ])('allows %s', (header) => {
    expect(allows(header)).toBe(true);
  });

  it.each([
    'evil.example',
    'evil.example:8686',
    'localhost.evil.example',
    'notlocalhost',
    '127.0.0.1.evil.example',
    'a.tabmotion.example',
    'tabmotion.example.evil',
    'evil.example#localhost',
    'localhost@evil.example',
    'evil.example:80:80',
    '[::1].evil.example',
    '[nonsense]',
    '',
    ' ',
    ':80',
    '.localhost.x',
    'localhost\u0000',
  ])('refuses %s', (header) => {
    expect(allows(header)).toBe(false);
  });

  it('allows nothing but loopback and addresses when no name was given', () => {
    const alone = allowHosts([]);
    fc.assert(fc.property(fc.domain(), fc.integer({ min: 0, max: 65_535 }), (name, port) => !alone(name) && !alone(`${name}:${port}`)));
    fc.assert(fc.property(fc.ipV4(), fc.ipV6(), (v4, v6) => alone(v4) && alone(`[${v6}]:8686`)));
  });

  it('says the way out, and repeats nothing but a name', () => {
    expect(foreignHostSentence('nas:80')).toBe(
      'This server does not go by the name nas; open the address that it printed, or start it with --allowed-host nas.\n',
    );
    expect(foreignHostSentence('<script>')).not.toContain('<');
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (header) => /^[\x20-\x7e]+\n$/.test(foreignHostSentence(header))));
  });
});
