import { describe, expect, it } from 'vitest';
import { nextSelection, NOTHING_SELECTED } from './selection.ts';
import { THERE, vm } from './testing/views.ts';

const here = vm();
const away = vm({ here: false, movedAway: true, hostId: THERE });
const other = vm({ id: 'vm-2', name: 'pc-2', here: false, hostId: THERE });
const otherHere = vm({ id: 'vm-2', name: 'pc-2' });

describe('which VM the console shows', () => {
  it('is one that runs here, else one that was here, else any', () => {
    expect(nextSelection(NOTHING_SELECTED, [other, here]).vmId).toBe('vm-1');
    expect(nextSelection(NOTHING_SELECTED, [other, away]).vmId).toBe('vm-1');
    expect(nextSelection(NOTHING_SELECTED, [other]).vmId).toBe('vm-2');
    expect(nextSelection(NOTHING_SELECTED, []).vmId).toBeNull();
  });

  it('stays with a VM that moves away', () => {
    const before = nextSelection(NOTHING_SELECTED, [here, other]);
    expect(nextSelection(before, [other, away]).vmId).toBe('vm-1');
  });

  it('turns to a VM that arrives, unless the one shown runs here too', () => {
    const watching = nextSelection({ vmId: 'vm-1', hereBefore: [] }, [away, other]);
    expect(nextSelection(watching, [away, otherHere]).vmId).toBe('vm-2');
    const working = nextSelection({ vmId: 'vm-1', hereBefore: ['vm-1'] }, [here, other]);
    expect(nextSelection(working, [here, otherHere]).vmId).toBe('vm-1');
  });

  it('stays with a VM elsewhere that somebody types into, whatever arrives', () => {
    const typing = nextSelection({ vmId: 'vm-1', hereBefore: [] }, [away, otherHere], true);
    expect(typing.vmId).toBe('vm-1');
    expect(nextSelection(typing, [away, otherHere]).vmId).toBe('vm-1');
    expect(nextSelection(typing, [otherHere], true).vmId).toBe('vm-2');
  });

  it('leaves a VM that is gone', () => {
    const before = nextSelection(NOTHING_SELECTED, [here, other]);
    expect(nextSelection(before, [other]).vmId).toBe('vm-2');
  });
});
