import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** Set for the build that end-to-end tests load: the pages of e2e/pages and the preview are in that one only. */
const testBuild = process.env['TABMOTION_TEST_BUILD'] === '1';

const root = fileURLToPath(new URL('.', import.meta.url));
const testPages =
  testBuild && existsSync(`${root}e2e/pages`)
    ? [
        ...readdirSync(`${root}e2e/pages`)
          .filter((name) => name.endsWith('.html'))
          .map((name) => `e2e/pages/${name}`),
        'src/ui/testing/preview.html',
      ]
    : [];

/**
 * v86 asks for Node's modules only when it runs in Node; that the page has none is no news. How the build spends its
 * time is of no interest either.
 */
const quiet = {
  checks: { pluginTimings: false },
  onLog(level: string, log: { readonly message: string }, report: (level: 'info' | 'debug' | 'warn', log: { readonly message: string }) => void): void {
    if (level === 'warn' && log.message.includes('/v86/build/') && log.message.includes('externalized')) return;
    report(level as 'info' | 'debug' | 'warn', log);
  },
};

export default defineConfig({
  base: './',
  build: {
    outDir: testBuild ? 'dist/test-page' : 'dist/page',
    emptyOutDir: true,
    target: 'es2023',
    // The first with light-dark(), whose replacement would take every colour from the page's own scheme.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    sourcemap: true,
    chunkSizeWarningLimit: 1500,
    rolldownOptions: { ...quiet, input: ['index.html', ...testPages] },
  },
  worker: { format: 'es', rolldownOptions: quiet },
});
