import { ensureGuest } from '../../guest/ensure-guest.ts';
import { buildPage } from '../../src/http-server/build-page.ts';

/** Guest and pages are made before the first test, so that no test's server has to wait for them. */
export default async function prepare(): Promise<void> {
  const onProgress = (line: string): void => console.log(line);
  await ensureGuest({ onProgress });
  await buildPage({ testBuild: true, onProgress });
}
