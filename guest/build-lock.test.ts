import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from './build-lock.ts';

describe('the lock of the build', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lock-'));
    file = join(folder, 'deep/lock');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('lets one work after the other, and tells the second whom it waits for', async () => {
    const order: string[] = [];
    let finish: () => void = () => undefined;
    const first = withLock(
      file,
      () => undefined,
      () => new Promise<void>((done) => (finish = done)),
    ).then(() => order.push('first'));
    const second = withLock(
      file,
      (holder) => {
        order.push(`waits for ${holder === process.pid ? 'us' : holder}`);
        finish();
      },
      () => Promise.resolve(order.push('second')),
      () => first.then(() => undefined),
    );
    await Promise.all([first, second]);
    expect(order).toEqual(['waits for us', 'first', 'second']);
    expect(existsSync(file)).toBe(false);
  });

  it('is let go when the work fails', async () => {
    await expect(
      withLock(
        file,
        () => undefined,
        () => Promise.reject(new Error('no room')),
      ),
    ).rejects.toThrow('no room');
    expect(existsSync(file)).toBe(false);
  });

  it('counts for nothing when its process is gone, or when it is garbage', async () => {
    for (const left of ['999999999', 'garbage', '']) {
      await withLock(
        file,
        () => undefined,
        () => Promise.resolve(),
      );
      writeFileSync(file, left);
      expect(
        await withLock(
          file,
          () => expect.fail('nobody holds it'),
          () => Promise.resolve('done'),
        ),
      ).toBe('done');
    }
  });
});
