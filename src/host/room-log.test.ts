import { describe, expect, it, vi } from 'vitest';
import { RoomLog } from './room-log.ts';

describe('the log of the room', () => {
  it('places what happened before this tab was here by its time, without a warning', () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const changed = vi.fn();
    const log = new RoomLog(changed, () => Date.now());
    const now = Date.now();
    log.add('info', null, 'pc-1 started');
    log.addPast([
      { at: now - 5_000, level: 'good', vmId: null, text: 'second' },
      { at: now - 9_000, level: 'bad', vmId: null, text: 'first' },
    ]);
    expect(log.view().map((line) => line.text)).toEqual(['first', 'second', 'pc-1 started']);
    expect(log.view()[0]?.at).toBe(now - 9_000);
    expect(changed).toHaveBeenCalledTimes(2);
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });
});
