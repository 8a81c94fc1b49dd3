import { beforeEach, describe, expect, it } from 'vitest';
import type { HostId } from '../shared/ids.ts';
import { leaveFormerSelf, takeFormerSelf } from './former-self.ts';

const SELF = 'self' as HostId;
const NEXT = 'next' as HostId;
const TOKEN = 'token-of-self-0123456789';

let kept: Map<string, string>;
const memory = { getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, value: string) => void kept.set(name, value) };

beforeEach(() => {
  kept = new Map();
});

describe('what a tab was before its reload', () => {
  it('is what it remembers of this room', () => {
    expect(takeFormerSelf('lab', SELF, memory)).toBeNull();
    expect(takeFormerSelf('other', SELF, memory)).toBeNull();
    expect(takeFormerSelf('lab', NEXT, memory)).toEqual({ hostId: SELF, hostToken: null });
    expect(takeFormerSelf('lab', SELF, null)).toBeNull();
  });

  it('is known to have gone if the page said so, and only to the next page', () => {
    takeFormerSelf('lab', SELF, memory);
    leaveFormerSelf('lab', { hostId: SELF, hostToken: TOKEN }, memory);
    expect(takeFormerSelf('lab', NEXT, memory)).toEqual({ hostId: SELF, hostToken: TOKEN });
    expect(takeFormerSelf('lab', SELF, memory)).toEqual({ hostId: NEXT, hostToken: null });
    expect([...kept.values()].join()).not.toContain(TOKEN);
  });

  it.each(['<script>', '', 'self short', `self ${TOKEN} more`])('is nothing if %j is remembered', (value) => {
    kept.set('tabmotion-host-lab', value);
    expect(takeFormerSelf('lab', SELF, memory)).toBeNull();
  });
});
