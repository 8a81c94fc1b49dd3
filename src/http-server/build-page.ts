/** `npm run build`: builds the page into dist/page, unless what is there was built from the same sources. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sourceDigest } from './source-digest.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = ['index.html', 'public', 'src', 'e2e/pages', 'package-lock.json', 'vite.config.ts', 'tsconfig.json'];
const STAMP_NAME = 'built-from.txt';
const BUNDLE = 'bundle';

export interface PageBuild {
  /** Absolute path of the folder to serve. */
  readonly directory: string;
  /** False if an earlier build of the same sources was found. */
  readonly rebuilt: boolean;
}

export interface BuildPageOptions {
  /** Includes the pages that end-to-end tests need. Such a build has a folder of its own, and `npm start` never serves it. */
  readonly testBuild?: boolean;
  readonly onProgress?: (line: string) => void;
}

/** The bundler runs in its own process, so its memory, half a gigabyte, is freed at its end. Rejects if the build fails; the bundler has printed why. */
export async function buildPage(options: BuildPageOptions = {}): Promise<PageBuild> {
  const testBuild = options.testBuild ?? false;
  const { directory, stampFile, stamp } = await placeOf(testBuild);
  if ((await readFile(stampFile, 'utf8').catch(() => '')) === stamp) return { directory, rebuilt: false };
  options.onProgress?.('Building the page');
  const bundler = fork(fileURLToPath(import.meta.url), [BUNDLE], {
    cwd: ROOT,
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, TABMOTION_TEST_BUILD: testBuild ? '1' : '', NODE_ENV: '' },
  });
  const [code] = (await once(bundler, 'exit')) as [number | null];
  if (code !== 0) throw new Error('The page could not be built; the lines above say why.');
  return { directory, rebuilt: true };
}

async function bundle(testBuild: boolean): Promise<void> {
  const { directory, stampFile, stamp } = await placeOf(testBuild);
  const { build } = await import('vite');
  await build({ root: ROOT, configFile: join(ROOT, 'vite.config.ts'), configLoader: 'native', logLevel: 'warn', mode: 'production' });
  await mkdir(directory, { recursive: true });
  await writeFile(stampFile, stamp);
}

/** `stamp` identifies the sources of a build. */
async function placeOf(testBuild: boolean): Promise<{ readonly directory: string; readonly stampFile: string; readonly stamp: string }> {
  const directory = join(ROOT, 'dist', testBuild ? 'test-page' : 'page');
  const stamp = `${testBuild ? 'test ' : ''}${await sourceDigest(ROOT, SOURCES, testBuild ? isUnitTest : isTest)}\n`;
  return { directory, stampFile: join(directory, STAMP_NAME), stamp };
}

/** The test build has the preview, which is in a folder for tests. */
function isUnitTest(path: string): boolean {
  return path.endsWith('.test.ts');
}

function isTest(path: string): boolean {
  return isUnitTest(path) || path.includes('/testing/');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const testBuild = process.env['TABMOTION_TEST_BUILD'] === '1';
  if (process.argv[2] === BUNDLE) {
    await bundle(testBuild);
    process.exit();
  }
  const { directory, rebuilt } = await buildPage({ testBuild, onProgress: (line) => console.log(line) });
  console.log(rebuilt ? `The page is in ${directory}` : `The page in ${directory} is up to date`);
}
