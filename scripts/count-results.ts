/** Turns the JSON reports of Vitest and Playwright into the one line that `npm test` ends with. Pure. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const NONE: Counts = { passed: 0, failed: 0, skipped: 0 };

export function addCounts(...all: readonly Counts[]): Counts {
  return all.reduce((sum, one) => ({ passed: sum.passed + one.passed, failed: sum.failed + one.failed, skipped: sum.skipped + one.skipped }), NONE);
}

/** A test runner's end: its exit status (null: killed by a signal) and the JSON report it left (null: none, or not JSON). */
export interface RunnerEnd {
  readonly status: number | null;
  readonly report: unknown;
}

export interface Tally {
  readonly counts: Counts;
  /** The failed tests, each with its file, its name and how it failed. */
  readonly failures: readonly string[];
  /** Sentences about whatever is wrong beyond failed tests; each of these also counts as one failed. */
  readonly problems: readonly string[];
}

/** How many lines of each failure message are repeated at the end; the whole message is further up. */
const LINES_OF_A_MESSAGE = 12;

/** `runner` names the runner in sentences; `read` takes its report apart, or returns null if it is not one. */
export function tally(runner: string, end: RunnerEnd, read: (report: unknown) => Tally | null): Tally {
  const found = read(end.report);
  if (found === null)
    return withProblem(
      { counts: NONE, failures: [], problems: [] },
      `${runner} left no readable report (exit status ${end.status ?? 'none'}): it did not finish.`,
    );
  if (found.counts.failed > 0) return found;
  if (end.status !== 0) return withProblem(found, `${runner} reports no failed test but ended with status ${end.status ?? 'none'}.`);
  if (found.counts.passed === 0) return withProblem(found, `${runner} ran no test.`);
  return found;
}

export function readVitest(report: unknown): Tally | null {
  if (!isRecord(report) || !Array.isArray(report['testResults'])) return null;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const problems: string[] = [];
  const failures: string[] = [];
  for (const file of report['testResults'] as unknown[]) {
    if (!isRecord(file)) return null;
    const tests: unknown[] = Array.isArray(file['assertionResults']) ? file['assertionResults'] : [];
    let failedHere = 0;
    for (const test of tests) {
      const status = isRecord(test) ? test['status'] : undefined;
      if (status === 'passed') counts.passed++;
      else if (isRecord(test) && status === 'failed') {
        failedHere++;
        const messages: unknown[] = Array.isArray(test['failureMessages']) ? test['failureMessages'] : [];
        failures.push(failure(`${String(file['name'])} › ${String(test['fullName'])}`, messages.map(String)));
      } else counts.skipped++;
    }
    counts.failed += failedHere;
    if (file['status'] === 'failed' && failedHere === 0) {
      counts.failed++;
      problems.push(failure(`Test file failed as a whole: ${String(file['name'])}`, typeof file['message'] === 'string' ? [file['message']] : []));
    }
  }
  return { counts, failures, problems };
}

export function readPlaywright(report: unknown): Tally | null {
  if (!isRecord(report) || !isRecord(report['stats'])) return null;
  const { expected, unexpected, flaky, skipped } = report['stats'];
  if (![expected, unexpected, flaky, skipped].every((value) => typeof value === 'number')) return null;
  const errors: unknown[] = Array.isArray(report['errors']) ? report['errors'] : [];
  const problems = errors.map((error) => `Playwright: ${isRecord(error) ? String(error['message']) : String(error)}`);
  // A test that passed only in a retry has failed once; retries are not allowed here.
  return {
    counts: { passed: Number(expected), failed: Number(unexpected) + Number(flaky) + problems.length, skipped: Number(skipped) },
    failures: playwrightFailures(report['suites']),
    problems,
  };
}

/** The suites of a report hold suites and specs; a spec has a test for each project, a test a result for each try. */
function playwrightFailures(suites: unknown): string[] {
  return records(suites).flatMap((suite) => [
    ...records(suite['specs']).flatMap((spec) =>
      records(spec['tests'])
        .filter(({ status }) => status === 'unexpected' || status === 'flaky')
        .map((test) =>
          failure(`[${String(test['projectName'])}] ${String(spec['file'])}:${String(spec['line'])} › ${String(spec['title'])}`, messagesOf(test)),
        ),
    ),
    ...playwrightFailures(suite['suites']),
  ]);
}

function messagesOf(test: Record<string, unknown>): string[] {
  return records(test['results'])
    .flatMap((result) => records(result['errors']))
    .map(({ message }) => String(message));
}

/** A failure's title and the first lines of each of its messages, without colours. */
function failure(title: string, messages: readonly string[]): string {
  const lines = messages.flatMap((message) =>
    message
      .replace(/\u001B\[[0-9;]*m/gu, '')
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(0, LINES_OF_A_MESSAGE),
  );
  return [title, ...lines.map((line) => `  ${line}`)].join('\n');
}

export function summaryLine(counts: Counts): string {
  return `${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''}`;
}

function withProblem(found: Tally, problem: string): Tally {
  return { ...found, counts: addCounts(found.counts, { passed: 0, failed: 1, skipped: 0 }), problems: [...found.problems, problem] };
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
