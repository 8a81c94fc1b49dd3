import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { LONG_TESTS } from './scripts/long-tests.ts';
import { QUICK } from './src/shared/testing/full.ts';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'guest/**/*.test.ts', 'scripts/**/*.test.ts', 'e2e/**/*.test.ts', 'bench/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(QUICK ? LONG_TESTS : [])],
    setupFiles: ['src/shared/testing/seeded-properties.ts'],
    // A limit for what hangs, not for what is slow: machines are shared.
    testTimeout: 180_000,
    restoreMocks: true,
    // Beside each other they are done sooner; the long ones measure themselves against limits and want a core of their own.
    ...(QUICK ? { maxWorkers: availableParallelism() } : {}),
  },
});
