import { describe, expect, it } from 'vitest';
import { progressLines } from './progress-lines.ts';

describe('progress lines', () => {
  it('say when a step is done and how long it took, and how far a long one is', () => {
    let now = 0;
    const lines: string[] = [];
    const report = progressLines(
      (line) => lines.push(line),
      () => now,
    );
    const working = (at: number, fraction: number | null, text: string): void => {
      now = at;
      report({ step: 'download', state: 'working', text, fraction, ms: at });
    };
    working(0, 0, 'started');
    working(300, 0.1, 'too soon to say');
    working(1500, 0.25, '14 packages');
    working(2800, null, 'trying again');
    report({ step: 'download', state: 'done', text: '', fraction: 1, ms: 3210 });
    expect(lines).toEqual(['  download:  25 %  14 packages', '  download: trying again', '  download: done in 3.2 s']);
  });

  it('count the steps that were kept instead of listing them', () => {
    const lines: string[] = [];
    const report = progressLines(
      (line) => lines.push(line),
      () => 0,
    );
    for (const step of ['versions', 'download']) report({ step, state: 'kept', text: '', fraction: 1, ms: 0 });
    report({ step: 'disk', state: 'working', text: 'started', fraction: null, ms: 0 });
    report({ step: 'disk', state: 'done', text: '', fraction: 1, ms: 1000 });
    expect(lines).toEqual(['  2 finished steps kept', '  disk: done in 1.0 s']);
  });
});
