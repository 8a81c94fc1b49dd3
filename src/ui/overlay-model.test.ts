import { describe, expect, it } from 'vitest';
import { overlayOf } from './overlay-model.ts';
import { HERE, progress, scene, THERE, vm } from './testing/views.ts';
import type { HostId } from '../shared/ids.ts';

const moved = vm({ here: false, movedAway: true, hostId: THERE });

describe('what lies over the console', () => {
  it('is nothing while the VM runs here, or is only watched from here', () => {
    expect(overlayOf(scene()).kind).toBe('none');
    expect(overlayOf(scene({}, vm({ here: false, hostId: THERE }))).kind).toBe('none');
  });

  it('is "Moved to …" once it left', () => {
    expect(overlayOf(scene({}, moved))).toMatchObject({ kind: 'moved', returning: false });
  });

  it('knows when the VM is on its way back', () => {
    const back = progress({ from: THERE as HostId, to: HERE as HostId });
    expect(overlayOf(scene({ migrations: [back] }, moved))).toMatchObject({ kind: 'moved', returning: true });
  });

  it('shows the start, an empty room, and a VM that was powered off', () => {
    expect(overlayOf(scene({ starting: { text: 'Loading', fraction: 0.5 } }, null))).toEqual({ kind: 'starting', text: 'Loading', fraction: 0.5 });
    expect(overlayOf(scene({}, vm({ state: 'starting' }))).kind).toBe('starting');
    expect(overlayOf(scene({}, null)).kind).toBe('empty');
    expect(overlayOf(scene({}, vm({ ended: true })))).toMatchObject({ kind: 'ended', why: 'It was shut down from inside.' });
    const log = [{ at: 1, level: 'bad', vmId: 'vm-1', text: 'Its worker stopped.' }] as const;
    expect(overlayOf(scene({ log }, vm({ ended: true })))).toMatchObject({ why: 'Its worker stopped.' });
  });
});
