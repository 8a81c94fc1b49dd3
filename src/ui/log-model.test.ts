import { describe, expect, it } from 'vitest';
import { figuresLine, story } from './log-model.ts';
import { report } from './testing/views.ts';

describe('the log', () => {
  it('lists lines newest first, with keys that stay when lines are added', () => {
    const log = [
      { at: 10, level: 'info', vmId: null, text: 'pc-1 started' },
      { at: 30, level: 'bad', vmId: null, text: 'lost' },
      { at: 30, level: 'bad', vmId: null, text: 'lost' },
    ] as const;
    const entries = story(log);
    expect(entries.map((entry) => entry.at)).toEqual([30, 30, 10]);
    expect(new Set(entries.map((entry) => entry.key)).size).toBe(3);
    const later = story([...log, { at: 40, level: 'info', vmId: null, text: 'new' }]);
    expect(later.slice(1)).toEqual(entries);
  });

  it('stays short however long a session lasts', () => {
    const log = Array.from({ length: 1_000 }, (_, at) => ({ at, level: 'info' as const, vmId: null, text: `line ${at}` }));
    const entries = story(log);
    expect(entries).toHaveLength(200);
    expect(entries[0]?.at).toBe(999);
  });
});

describe('the final figures', () => {
  it('are total, bytes, rounds, way, and whether every page was compared', () => {
    expect(figuresLine(report())).toBe('240 ms in all · 2.2 MB sent · 1 round · direct (WebRTC)');
    expect(figuresLine(report({ verified: true, link: 'relay' }))).toContain('through the server · every page compared: equal');
    expect(figuresLine(report({ outcome: 'failed', link: null }))).not.toContain('direct');
    expect(figuresLine(report({ verified: false }))).toContain('NOT EQUAL');
  });
});
