import { describe, expect, it } from 'vitest';
import { CLOCK_OFFSET_MS, Rehearsal } from './testing/rehearsal.ts';

describe('A migration', () => {
  it('moves a running VM: every page arrives, it runs on at the target, the source is gone (MG10-MG22)', async () => {
    const rehearsal = new Rehearsal({ seed: 7 });
    let stoppedAt = 0;
    await rehearsal.finish(() => {
      expect(rehearsal.runningCopies).toBeLessThanOrEqual(1);
      if (rehearsal.sourceVm.running) stoppedAt = rehearsal.sourceVm.counter;
    });
    expect(rehearsal.report).toMatchObject({ outcome: 'completed', verified: null, id: 'm-7', from: 'host-a', to: 'host-b' });
    expect(rehearsal.end).toMatchObject({ outcome: 'completed', epoch: 2 });
    expect(rehearsal.sourceVm.discarded).toBe(true);
    expect(rehearsal.targetVm?.running).toBe(true);
    expect(rehearsal.arbiter.frames.filter((frame) => frame.owner === 'target')[0]?.counter).toBe(stoppedAt + 1);
    expect(CLOCK_OFFSET_MS).toBeGreaterThan(0);
  });
});
