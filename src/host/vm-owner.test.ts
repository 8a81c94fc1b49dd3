import { describe, expect, it } from 'vitest';
import type { HostId } from '../shared/ids.ts';
import { vmOwner } from './vm-owner.ts';

const [SELF, OTHER, THIRD] = ['self', 'other', 'third'] as [HostId, HostId, HostId];
const nothing = { self: SELF, listed: null, here: null, movedTo: null } as const;

describe('vmOwner', () => {
  it('believes its own worker first', () => {
    expect(vmOwner({ ...nothing, here: 'settled', listed: OTHER })).toBe(SELF);
    expect(vmOwner({ ...nothing, here: 'settled', movedTo: OTHER })).toBe(SELF);
  });

  it('believes the relay about a VM that runs elsewhere, wherever it once went from here', () => {
    expect(vmOwner({ ...nothing, listed: OTHER })).toBe(OTHER);
    expect(vmOwner({ ...nothing, listed: OTHER, movedTo: THIRD })).toBe(OTHER);
  });

  it('knows where a VM went before the relay has told it', () => {
    expect(vmOwner({ ...nothing, listed: SELF, movedTo: OTHER })).toBe(OTHER);
  });

  it("takes the relay's word for a VM on its way here, also when it once went away", () => {
    expect(vmOwner({ ...nothing, here: 'arriving', listed: OTHER })).toBe(OTHER);
    expect(vmOwner({ ...nothing, here: 'arriving', listed: SELF, movedTo: THIRD })).toBe(SELF);
  });

  it('knows nobody for a VM that the room does not have', () => {
    expect(vmOwner(nothing)).toBeNull();
  });
});
