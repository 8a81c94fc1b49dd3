import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'guest/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'],
    setupFiles: ['src/shared/testing/seeded-properties.ts'],
    // A limit for what hangs, not for what is slow: machines are shared.
    testTimeout: 180_000,
    restoreMocks: true,
  },
});
