import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { LONE_TESTS, LONG_TESTS, LONGEST_TESTS, UNIT_PART } from './scripts/long-tests.ts';
import { QUICK } from './src/shared/testing/full.ts';

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST_TESTS.findIndex((name) => moduleId.endsWith(`/${name}`));
      return index === -1 ? LONGEST_TESTS.length : index;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include:
      UNIT_PART === 'alone' ? [...LONE_TESTS] : ['src/**/*.test.ts', 'guest/**/*.test.ts', 'scripts/**/*.test.ts', 'e2e/**/*.test.ts', 'bench/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(QUICK ? LONG_TESTS : UNIT_PART === 'beside' ? LONE_TESTS : [])],
    setupFiles: ['src/shared/testing/seeded-properties.ts'],
    // A limit for what hangs, not for what is slow: machines are shared.
    testTimeout: 180_000,
    sequence: { sequencer: LongestFirst },
    restoreMocks: true,
    unstubGlobals: true,
    // Beside each other they are done sooner; and a thread of its own for each file is sooner there than a process.
    ...(QUICK || UNIT_PART === 'beside' ? { maxWorkers: availableParallelism(), pool: 'threads' } : {}),
  },
});
