import { describe, expect, it } from 'vitest';
import { allowOrigins } from './origins.ts';

const from = (origin: string | undefined, host = 'tabmotion.example:8686') => ({ headers: { origin, host } });

describe('pages that may open sockets', () => {
  it('are those of this server, and programs that are no browser', () => {
    const allows = allowOrigins();
    expect(allows(from(undefined))).toBe(true);
    expect(allows(from('https://tabmotion.example:8686'))).toBe(true);
    for (const foreign of ['https://evil.example', 'https://tabmotion.example', 'null', '', 'nonsense']) expect(allows(from(foreign))).toBe(false);
    expect(allows({ headers: { origin: 'https://evil.example' } })).toBe(false);
  });

  it('are those of the origins that are named, and of no other', () => {
    const allows = allowOrigins(['https://tabmotion.example']);
    expect(allows(from('https://tabmotion.example', 'inner:8686'))).toBe(true);
    expect(allows(from('http://tabmotion.example', 'inner:8686'))).toBe(false);
    expect(allows(from('https://tabmotion.example.evil.example', 'inner:8686'))).toBe(false);
  });
});
