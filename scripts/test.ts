/**
 * `npm test`: types, lint, the model, unit tests, then the end-to-end tests in real browsers with the real guest. The last line is
 * computed from the runners' own JSON reports; whatever breaks outside a test counts as failed.
 *
 *   npm test -- --full    the long versions of the long tests
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ensureGuest } from '../guest/ensure-guest.ts';
import { buildPage } from './build-page.ts';
import { addCounts, NONE, readPlaywright, readVitest, summaryLine, tally, type Counts, type Tally } from './count-results.ts';
import { findChromium } from './find-chromium.ts';
import { HOW_TO_GET_SPIN, missingPrograms, verifyModel } from './verify-model.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const REPORTS = `${ROOT}test-results/reports`;
const FAILED: Counts = { passed: 0, failed: 1, skipped: 0 };

const problems: string[] = [];
let counts = NONE;

function heading(title: string): void {
  console.log(`\n== ${title}`);
}

function fail(problem: string): void {
  problems.push(problem);
  counts = addCounts(counts, FAILED);
  console.error(problem);
}

function runNode(script: string, args: readonly string[], environment: Record<string, string> = {}): number | null {
  const result = spawnSync(process.execPath, [`${ROOT}node_modules/${script}`, ...args], { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...environment } });
  return result.status;
}

function count(found: Tally): void {
  problems.push(...found.problems);
  counts = addCounts(counts, found.counts);
}

function readReport(name: string): unknown {
  try {
    return JSON.parse(readFileSync(`${REPORTS}/${name}`, 'utf8')) as unknown;
  } catch {
    return null;
  }
}

/** Runs a step of preparation; false if it failed. */
async function prepare(title: string, step: () => Promise<unknown>): Promise<boolean> {
  heading(title);
  try {
    await step();
    return true;
  } catch (error) {
    fail(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

/** The model of a migration; skipped, and said so, where its checker is missing. */
function checkModel(): void {
  const missing = missingPrograms();
  if (missing.length > 0) {
    console.log(`SKIPPED: the model was not checked: ${missing.join(' and ')} not found. ${HOW_TO_GET_SPIN}`);
    counts = addCounts(counts, { passed: 0, failed: 0, skipped: 1 });
    return;
  }
  try {
    counts = addCounts(counts, verifyModel((line) => console.log(line)));
  } catch (error) {
    fail(`Model: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function main(): Promise<void> {
  const unknown = process.argv.slice(2).filter((word) => word !== '--full');
  if (unknown.length > 0) {
    fail(`npm test takes only --full; there is no ${unknown.join(' ')}. Single tests: npm run test:unit -- NAME, npm run test:e2e -- NAME.`);
    return;
  }
  if (process.argv.includes('--full')) process.env['TABMOTION_FULL'] = '1';
  rmSync(REPORTS, { recursive: true, force: true });
  mkdirSync(REPORTS, { recursive: true });

  heading('Types');
  for (const project of ['tsconfig.core.json', 'tsconfig.web.json', 'tsconfig.json']) {
    if (runNode('typescript/bin/tsc', ['-p', project]) !== 0) fail(`Types: ${project} does not compile.`);
  }
  heading('Lint');
  if (runNode('eslint/bin/eslint.js', ['.', '--max-warnings', '0']) !== 0) fail('Lint: see above.');

  const guestReady = await prepare('Guest', () => ensureGuest({ onProgress: (line) => console.log(line) }));
  const pageReady = await prepare('Page', () => buildPage({ testBuild: true, onProgress: (line) => console.log(line) }));
  const chromiumReady = await prepare('Chromium', () => {
    console.log(findChromium());
    return Promise.resolve();
  });

  heading('Model');
  checkModel();

  heading('Unit tests');
  const unitStatus = runNode('vitest/vitest.mjs', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${REPORTS}/unit.json`]);
  count(tally('Vitest', { status: unitStatus, report: readReport('unit.json') }, readVitest));

  heading('End-to-end tests');
  if (guestReady && pageReady && chromiumReady) {
    const status = runNode('@playwright/test/cli.js', ['test', '--reporter=list,json'], { PLAYWRIGHT_JSON_OUTPUT_FILE: `${REPORTS}/e2e.json` });
    count(tally('Playwright', { status, report: readReport('e2e.json') }, readPlaywright));
  } else {
    fail('The end-to-end tests were not run: what they need could not be prepared (see above).');
  }
}

await main();
if (problems.length > 0) console.log(`\nBeyond failed tests:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
console.log(`\n${summaryLine(counts)}`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
