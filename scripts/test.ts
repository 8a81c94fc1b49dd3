/**
 * `npm test`: types, lint, the fast unit tests (one of them moves a real guest between two hosts in Node), and one
 * migration in a real browser; the model too, if what it stands for has changed. Two minutes or three.
 *
 *   npm test -- --all     everything: all unit tests, the model, all end-to-end tests in real browsers
 *   npm test -- --full    everything, and the long versions of the long tests
 *
 * The last line is computed from the runners' own JSON reports; whatever breaks outside a test counts as failed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ensureGuest } from '../guest/ensure-guest.ts';
import { buildPage } from '../src/http-server/build-page.ts';
import { addCounts, NONE, readPlaywright, readVitest, summaryLine, tally, type Counts, type Tally } from './count-results.ts';
import { ALONE } from '../e2e/harness/alone.ts';
import { findChromium } from '../e2e/harness/find-chromium.ts';
import { QUICK_BROWSER_TEST } from './long-tests.ts';
import { setChecked, wasChecked } from './model-digest.ts';
import { HOW_TO_GET_SPIN, missingPrograms, verifyModel } from './verify-model.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const REPORTS = `${ROOT}test-results/reports`;
const FAILED: Counts = { passed: 0, failed: 1, skipped: 0 };
const WORDS = ['--all', '--full'];
/** A runner that has not ended by then hangs: the slowest machine seen needs half of it. Each browser test has a limit of its own (playwright.config.ts). */
const RUNNER_LIMIT_MS = 40 * 60_000;
/** The long versions may take as long as they like. */
const FULL_LIMIT_MS = 12 * 3_600_000;

const problems: string[] = [];
const failures: string[] = [];
const durations: string[] = [];
let counts = NONE;

function fail(problem: string): void {
  problems.push(problem);
  counts = addCounts(counts, FAILED);
  console.error(problem);
}

function count(found: Tally): void {
  problems.push(...found.problems);
  failures.push(...found.failures);
  counts = addCounts(counts, found.counts);
}

/** Notes how long a part took. */
async function timed<T>(title: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  try {
    return await work();
  } finally {
    durations.push(`${title.toLowerCase()} ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
}

interface End {
  /** null: killed by a signal. */
  readonly status: number | null;
  /** What it printed, if that was kept. */
  readonly printed: string;
}

interface RunOptions {
  /** Its output is returned instead of shown, as others run beside it. */
  readonly keep?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** It is ended then, with all that it has started. */
  readonly limitMs?: number;
}

/** Runs a program of node_modules. */
function runNode(script: string, args: readonly string[], { keep = false, environment = {}, limitMs }: RunOptions = {}): Promise<End> {
  return new Promise((resolve) => {
    // With a limit: in a process group of its own, whose processes can be ended together.
    const child = spawn(process.execPath, [`${ROOT}node_modules/${script}`, ...args], {
      cwd: ROOT,
      detached: limitMs !== undefined,
      stdio: ['inherit', keep ? 'pipe' : 'inherit', keep ? 'pipe' : 'inherit'],
      env: { ...process.env, ...environment },
    });
    const letGo = limitMs === undefined ? null : endsWithUs(child, limitMs);
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => void (printed += data.toString()));
    child.on('error', (error) => resolve({ status: null, printed: String(error) }));
    child.on('close', (status) => {
      letGo?.();
      resolve({ status, printed });
    });
  });
}

/** Ends a process group at a limit, and when this process is told to end, which it does then. Returns what lets go of the group. */
function endsWithUs(child: ChildProcess, limitMs: number): () => void {
  const end = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It has ended by itself.
    }
  };
  const limit = setTimeout(() => {
    console.error(`It has not ended within ${limitMs / 60_000} minutes: what was to come next hangs. It is ended now.`);
    end('SIGKILL');
  }, limitMs);
  const told = (signal: NodeJS.Signals): void => {
    end(signal);
    process.exit(1);
  };
  process.on('SIGINT', told).on('SIGTERM', told);
  return () => {
    clearTimeout(limit);
    process.off('SIGINT', told).off('SIGTERM', told);
  };
}

function readReport(name: string): unknown {
  try {
    return JSON.parse(readFileSync(`${REPORTS}/${name}`, 'utf8')) as unknown;
  } catch {
    return null;
  }
}

/** One part of the whole. */
function part<T>(title: string, work: () => Promise<T>): Promise<T> {
  console.log(`\n== ${title}`);
  return timed(title, work);
}

/** The same beside other parts: what it says is printed at its end, in one piece. */
async function partBeside<T>(title: string, work: (print: (line: string) => void) => Promise<T>): Promise<T> {
  const lines: string[] = [];
  try {
    return await timed(title, () => work((line) => lines.push(line)));
  } finally {
    console.log([`\n== ${title}`, ...lines].join('\n'));
  }
}

/** Runs a step of preparation; false if it failed. */
function prepare(title: string, step: () => Promise<unknown>): Promise<boolean> {
  return part(title, async () => {
    try {
      await step();
      return true;
    } catch (error) {
      fail(`${title}: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  });
}

/** A check that others run beside: what it printed is shown if it fails, with this sentence behind it. */
async function check(script: string, args: readonly string[], sentence: string): Promise<void> {
  const { status, printed } = await runNode(script, args, { keep: true });
  if (status !== 0) fail(`${printed}${sentence}`);
}

async function checkTypes(): Promise<void> {
  for (const project of ['tsconfig.core.json', 'tsconfig.web.json', 'tsconfig.json'])
    await check('typescript/bin/tsc', ['-p', project], `Types: ${project} does not compile.`);
}

/** A rule that looks at types may judge an unchanged file by what was true before: only the quick run takes its word. */
function lint(cached: boolean): Promise<void> {
  const cache = ['--cache', '--cache-strategy', 'content', '--cache-location', 'node_modules/.cache/eslint/'];
  return check('eslint/bin/eslint.js', ['.', '--max-warnings', '0', ...(cached ? cache : [])], 'Lint: see above.');
}

/** What nobody imports, and packages that nobody uses (knip.json). */
function findUnused(): Promise<void> {
  return check('knip/bin/knip.js', ['--no-progress'], 'Unused code: see above. An export that is used in its own file alone needs no "export".');
}

function checkFormat(): Promise<void> {
  return check(
    'prettier/bin/prettier.cjs',
    ['--check', '--log-level', 'warn', '--cache', '--cache-strategy', 'content', '**/*.{ts,js}'],
    'Format: npm run format lays these files out.',
  );
}

/** The model of a migration; skipped, and said so, where its checker is missing. */
async function checkModel(print: (line: string) => void): Promise<void> {
  const missing = missingPrograms();
  if (missing.length > 0) {
    print(`SKIPPED: the model was not checked: ${missing.join(' and ')} not found. ${HOW_TO_GET_SPIN}`);
    counts = addCounts(counts, { passed: 0, failed: 0, skipped: 1 });
    return;
  }
  try {
    const found = await verifyModel(print);
    counts = addCounts(counts, found);
    if (found.failed === 0) await setChecked();
  } catch (error) {
    fail(`Model: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** `some`: `beside` each other, or `alone` (long-tests.ts). */
async function unitTests(some: 'beside' | 'alone'): Promise<void> {
  const { status } = await runNode('vitest/vitest.mjs', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${REPORTS}/unit-${some}.json`], {
    environment: { TABMOTION_UNIT: some },
    limitMs: process.env['TABMOTION_FULL'] === '1' ? FULL_LIMIT_MS : RUNNER_LIMIT_MS,
  });
  count(tally('Vitest', { status, report: readReport(`unit-${some}.json`) }, readVitest));
}

async function browserTests(name: string, some: readonly string[], environment: Record<string, string> = {}): Promise<void> {
  const { status } = await runNode('@playwright/test/cli.js', ['test', '--reporter=list,json', ...some], {
    environment: { ...environment, PLAYWRIGHT_JSON_OUTPUT_FILE: `${REPORTS}/${name}.json` },
  });
  count(tally('Playwright', { status, report: readReport(`${name}.json`) }, readPlaywright));
}

/** False if something is missing. */
async function prepareBrowserTests(): Promise<boolean> {
  const guestReady = await prepare('Guest', () => ensureGuest({ onProgress: (line) => console.log(line) }));
  const pageReady = await prepare('Page', () => buildPage({ testBuild: true, onProgress: (line) => console.log(line) }));
  const chromiumReady = await prepare('Chromium', () => {
    console.log(findChromium());
    return Promise.resolve();
  });
  return guestReady && pageReady && chromiumReady;
}

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const unknown = words.filter((word) => !WORDS.includes(word));
  if (unknown.length > 0) {
    fail(`npm test takes only ${WORDS.join(' or ')}; there is no ${unknown.join(' ')}. Single tests: npm run test:unit -- NAME, npm run test:e2e -- NAME.`);
    return;
  }
  const all = words.length > 0;
  if (words.includes('--full')) process.env['TABMOTION_FULL'] = '1';
  if (!all) process.env['TABMOTION_QUICK'] = '1';
  rmSync(REPORTS, { recursive: true, force: true });
  mkdirSync(REPORTS, { recursive: true });

  // None of them keeps two cores busy.
  const [prepared] = await Promise.all([
    prepareBrowserTests(),
    partBeside('Types and lint', () => Promise.all([checkTypes(), lint(!all), findUnused(), checkFormat()])),
    all || !(await wasChecked()) ? partBeside('Model', checkModel) : null,
  ]);
  await part('Unit tests', () => unitTests('beside'));
  if (all) await part('Unit tests that want the machine alone', () => unitTests('alone'));
  if (prepared) {
    if (all) {
      // One waits while the other computes.
      await part('End-to-end tests', () => browserTests('e2e', ['--workers=2', '--grep-invert', ALONE], { TABMOTION_SPARING: '1' }));
      await part('End-to-end tests that want the machine alone', () => browserTests('e2e-alone', ['--workers=1', '--grep', ALONE]));
    } else await part('A migration in Chromium', () => browserTests('e2e', ['--project=loopback', '--grep', QUICK_BROWSER_TEST]));
  } else {
    fail('The end-to-end tests were not run: what they need could not be prepared (see above).');
  }
}

/** What went wrong, once more at the end: the parts before print more than anybody reads. */
function list(title: string, entries: readonly string[]): void {
  if (entries.length > 0) console.log(`\n${title}:\n${entries.join('\n').replace(/^/gmu, '  ')}`);
}

await main();
list('Failed tests', failures);
list('Beyond failed tests', problems);
console.log(`\n${durations.join(', ')}`);
console.log(`\n${summaryLine(counts)}`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
