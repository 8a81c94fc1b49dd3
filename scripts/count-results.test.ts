import { describe, expect, it } from 'vitest';
import { addCounts, readPlaywright, readVitest, summaryLine, tally } from './count-results.ts';

const file = (status: string, ...tests: string[]): unknown => ({
  name: '/x.test.ts',
  status,
  assertionResults: tests.map((test) => ({ status: test, fullName: `a ${test}` })),
});
const vitest = (...files: unknown[]): unknown => ({ testResults: files });
const playwright = (expected: number, unexpected: number, skipped: number, errors: unknown[] = []): unknown => ({
  stats: { expected, unexpected, flaky: 0, skipped },
  errors,
});

describe('the counting of test results', () => {
  it('adds up what Vitest reports', () => {
    const report = vitest(file('passed', 'passed', 'passed', 'skipped', 'todo'), file('failed', 'passed', 'failed'));
    expect(tally('Vitest', { status: 1, report }, readVitest)).toEqual({
      counts: { passed: 3, failed: 1, skipped: 2 },
      failures: ['/x.test.ts › a failed'],
      problems: [],
    });
  });

  it('counts a file that could not be loaded as one failed, and names it', () => {
    const { counts, problems } = tally('Vitest', { status: 1, report: vitest(file('failed'), file('passed', 'passed')) }, readVitest);
    expect(counts).toEqual({ passed: 1, failed: 1, skipped: 0 });
    expect(problems.join()).toContain('/x.test.ts');
  });

  it('adds up what Playwright reports, errors outside tests included', () => {
    const report = playwright(5, 1, 2, [{ message: 'no server' }]);
    expect(tally('Playwright', { status: 1, report }, readPlaywright)).toEqual({
      counts: { passed: 5, failed: 2, skipped: 2 },
      failures: [],
      problems: ['Playwright: no server'],
    });
  });

  it('names what failed, with the first lines of what it said and without colours', () => {
    const said = Array.from({ length: 20 }, (_, at) => `\u001B[31mline ${at}\u001B[39m`).join('\n\n');
    const unit = vitest({ name: '/x.test.ts', status: 'failed', assertionResults: [{ status: 'failed', fullName: 'A b', failureMessages: [said] }] });
    const [failure] = tally('Vitest', { status: 1, report: unit }, readVitest).failures;
    expect(failure?.split('\n').slice(0, 2)).toEqual(['/x.test.ts › A b', '  line 0']);
    expect(failure?.split('\n')).toHaveLength(13);

    const spec = (title: string, status: string): unknown => ({
      title,
      file: 'x.e2e.ts',
      line: 3,
      tests: [{ projectName: 'loopback', status, results: [{ errors: [{ message: 'Timeout' }] }] }],
    });
    const browser = {
      ...(playwright(1, 2, 0) as object),
      suites: [{ specs: [spec('one', 'unexpected'), spec('two', 'expected')], suites: [{ specs: [spec('three', 'flaky')] }] }],
    };
    expect(tally('Playwright', { status: 1, report: browser }, readPlaywright).failures).toEqual([
      '[loopback] x.e2e.ts:3 › one\n  Timeout',
      '[loopback] x.e2e.ts:3 › three\n  Timeout',
    ]);
  });

  it('counts a runner that crashed as failed, with or without a report', () => {
    for (const report of [null, 'text', [], {}, { stats: {} }]) {
      const { counts, problems } = tally('Playwright', { status: null, report }, readPlaywright);
      expect(counts).toEqual({ passed: 0, failed: 1, skipped: 0 });
      expect(problems).toHaveLength(1);
    }
    expect(tally('Vitest', { status: 1, report: vitest(file('passed', 'passed')) }, readVitest).counts).toEqual({ passed: 1, failed: 1, skipped: 0 });
  });

  it('counts a run without a single test as failed', () => {
    expect(tally('Vitest', { status: 0, report: vitest() }, readVitest).counts.failed).toBe(1);
    expect(tally('Playwright', { status: 0, report: playwright(0, 0, 3) }, readPlaywright).counts).toEqual({ passed: 0, failed: 1, skipped: 3 });
  });

  it('is told in one plain line', () => {
    expect(summaryLine(addCounts({ passed: 2, failed: 0, skipped: 0 }, { passed: 1, failed: 0, skipped: 0 }))).toBe('3 passed, 0 failed');
    expect(summaryLine({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped');
  });
});
