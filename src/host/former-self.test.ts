import { beforeEach, describe, expect, it } from 'vitest';
import { leaveFormerSelf, takeFormerSelf } from './former-self.ts';

const SELF = { hostId: 'self', hostToken: 'token-of-self-0123456789' };
const NEXT = { hostId: 'next', hostToken: 'token-of-next-0123456789' };

let kept: Map<string, string>;
const memory = { getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, value: string) => void kept.set(name, value) };

beforeEach(() => {
  kept = new Map();
});

describe('what a tab was before its reload', () => {
  it('is what it remembers of this room', () => {
    expect(takeFormerSelf('lab', SELF, memory)).toBeNull();
    expect(takeFormerSelf('other', SELF, memory)).toBeNull();
    expect(takeFormerSelf('lab', NEXT, memory)).toEqual({ ...SELF, gone: false });
    expect(takeFormerSelf('lab', SELF, null)).toBeNull();
  });

  it('is known to have gone if the page said so', () => {
    takeFormerSelf('lab', SELF, memory);
    leaveFormerSelf('lab', SELF, memory);
    expect(takeFormerSelf('lab', NEXT, memory)).toEqual({ ...SELF, gone: true });
    expect(takeFormerSelf('lab', SELF, memory)).toEqual({ ...NEXT, gone: false });
  });

  it.each(['<script>', '', 'self', 'self short', `self ${SELF.hostToken} more`])('is nothing if %j is remembered', (value) => {
    kept.set('tabmotion-host-lab', value);
    expect(takeFormerSelf('lab', SELF, memory)).toBeNull();
  });
});
