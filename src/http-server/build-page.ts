/** `npm run build`: builds the page into dist/page, unless what is there was built from the same sources. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sourceDigest } from './source-digest.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = ['index.html', 'public', 'src', 'e2e/pages', 'package-lock.json', 'vite.config.ts', 'tsconfig.json'];
const STAMP_NAME = 'built-from.txt';

export interface PageBuild {
  /** Absolute path of the folder to serve. */
  readonly directory: string;
  /** False if an earlier build of the same sources was found. */
  readonly rebuilt: boolean;
}

export interface BuildPageOptions {
  /** With the pages that end-to-end tests need; such a build lies apart and is never served by `npm start`. */
  readonly testBuild?: boolean;
  readonly onProgress?: (line: string) => void;
}

/** Rejects with Vite's error if the page cannot be built. */
export async function buildPage(options: BuildPageOptions = {}): Promise<PageBuild> {
  const testBuild = options.testBuild ?? false;
  const directory = join(ROOT, 'dist', testBuild ? 'test-page' : 'page');
  const stampFile = join(directory, STAMP_NAME);
  const stamp = `${testBuild ? 'test ' : ''}${await sourceDigest(ROOT, SOURCES, testBuild ? isUnitTest : isTest)}\n`;
  if ((await readFile(stampFile, 'utf8').catch(() => '')) === stamp) return { directory, rebuilt: false };

  options.onProgress?.('Building the page');
  // Loaded only when needed: an unchanged page starts without the bundler.
  const { build } = await import('vite');
  process.env['TABMOTION_TEST_BUILD'] = testBuild ? '1' : '';
  // The bundler sets it for good; to a command that runs later, `npm ci` above all, it would mean something else.
  const nodeEnv = process.env['NODE_ENV'];
  try {
    await build({ root: ROOT, configFile: join(ROOT, 'vite.config.ts'), configLoader: 'native', logLevel: 'warn', mode: 'production' });
  } finally {
    if (nodeEnv === undefined) delete process.env['NODE_ENV'];
    else process.env['NODE_ENV'] = nodeEnv;
  }
  await mkdir(directory, { recursive: true });
  await writeFile(stampFile, stamp);
  return { directory, rebuilt: true };
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
  const { directory, rebuilt } = await buildPage({ testBuild, onProgress: (line) => console.log(line) });
  console.log(rebuilt ? `The page is in ${directory}` : `The page in ${directory} is up to date`);
}
