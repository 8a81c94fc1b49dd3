import { defineConfig } from '@playwright/test';
import { CHROMIUM_FLAGS } from './e2e/harness/chromium-flags.ts';
import type { WorkerOptions } from './e2e/harness/test.ts';
import { findChromium } from './e2e/harness/find-chromium.ts';

/** A boot from the base snapshot, a few migrations and their checks fit many times over, on a slow machine too; a hang is seen within it. */
const TEST_LIMIT_MS = 240_000;

export default defineConfig<object, WorkerOptions>({
  testDir: 'e2e',
  testMatch: '**/*.e2e.ts',
  globalSetup: './e2e/harness/global-setup.ts',
  outputDir: 'test-results/e2e',
  // One after another unless asked otherwise: two beside each other (--workers=2) are sooner done, if none is tagged ALONE.
  workers: 1,
  fullyParallel: true,
  // A test that passes at the second try has failed.
  retries: 0,
  timeout: TEST_LIMIT_MS,
  expect: { timeout: 20_000 },
  reporter: 'list',
  use: {
    launchOptions: { executablePath: findChromium(), args: [...CHROMIUM_FLAGS] },
    // Each test keeps its own record of pages and consoles (e2e/harness/test.ts).
    screenshot: 'off',
    trace: 'off',
  },
  projects: [
    { name: 'loopback' },
    // A12: the same tests with the browser in another network, so over plain http from an address that is not loopback.
    { name: 'other-network', grep: /\bA[2-5]:/, use: { network: 'namespace' } },
  ],
});
