import { describe, expect, it } from 'vitest';
import { figuresLine, reportSentence, story } from './log-model.ts';
import { report, THERE } from './testing/views.ts';

const nameOf = (id: string): string => (id === THERE ? 'Laptop of Ada' : 'this tab');

describe('the log', () => {
  it('tells lines and migrations in one order, newest first, with keys that stay', () => {
    const log = [
      { at: 10, level: 'info', vmId: null, text: 'pc-1 started' },
      { at: 30, level: 'bad', vmId: null, text: 'lost' },
      { at: 30, level: 'bad', vmId: null, text: 'lost' },
    ] as const;
    const entries = story(log, [report()], () => 20);
    expect(entries.map((entry) => entry.at)).toEqual([30, 30, 20, 10]);
    expect(new Set(entries.map((entry) => entry.key)).size).toBe(4);
    const later = story([...log, { at: 40, level: 'info', vmId: null, text: 'new' }], [report()], () => 20);
    expect(later.slice(1).map((entry) => entry.key)).toEqual(entries.map((entry) => entry.key));
  });

  it('stays short however long a session lasts', () => {
    const log = Array.from({ length: 1_000 }, (_, at) => ({ at, level: 'info' as const, vmId: null, text: `line ${at}` }));
    const entries = story(log, [], () => 0);
    expect(entries).toHaveLength(200);
    expect(entries[0]?.at).toBe(999);
  });

  it('gives the final figures: pause, total, bytes, rounds, way, and whether every page was compared', () => {
    expect(figuresLine(report())).toBe('31 ms pause · 240 ms in all · 2.2 MB sent · 1 round · direct (WebRTC)');
    expect(figuresLine(report({ verified: true, link: 'relay' }))).toContain('through the server · every page compared: equal');
    expect(figuresLine(report({ verified: false }))).toContain('NOT EQUAL');
  });

  it('says what happened and why', () => {
    expect(reportSentence(report(), 'pc-1', nameOf)).toBe('pc-1 moved: this tab → Laptop of Ada');
    expect(reportSentence(report({ outcome: 'failed', reason: 'The other tab was closed.' }), 'pc-1', nameOf)).toContain('The other tab was closed.');
    expect(reportSentence(report({ outcome: 'cancelled' }), 'pc-1', nameOf)).toContain('cancelled');
  });
});
