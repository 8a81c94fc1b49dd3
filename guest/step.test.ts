import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stepKey, StepRunner, type StepProgress } from './step.ts';

describe('steps', () => {
  let folder: string;
  let heard: StepProgress[];
  let runner: StepRunner;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'steps-'));
    heard = [];
    runner = new StepRunner(
      folder,
      (progress) => heard.push(progress),
      () => 0,
    );
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const make = (content: string) => (work: { folder: string }) => {
    writeFileSync(join(work.folder, 'result'), content);
    return Promise.resolve();
  };

  it('keeps a result as long as the inputs stay the same, in whatever order they are given', async () => {
    const first = await runner.run('disk', { a: '1', b: '2' }, make('one'));
    const second = await runner.run('disk', { b: '2', a: '1' }, make('two'));
    expect(second).toBe(first);
    expect(readFileSync(join(second, 'result'), 'utf8')).toBe('one');
    expect(heard.map((progress) => progress.state)).toEqual(['working', 'done', 'kept']);
  });

  it('makes the result again for other inputs, and forgets the old one', async () => {
    const first = await runner.run('disk', { a: '1' }, make('one'));
    const second = await runner.run('disk', { a: '2' }, make('two'));
    expect(readFileSync(join(second, 'result'), 'utf8')).toBe('two');
    expect(existsSync(first)).toBe(false);
  });

  it('leaves nothing behind when a step fails, so that the next run does it again', async () => {
    await expect(runner.run('disk', { a: '1' }, () => Promise.reject(new Error('no room')))).rejects.toThrow('no room');
    expect(readdirSync(join(folder, 'disk'))).toEqual([]);
    const result = await runner.run('disk', { a: '1' }, make('one'));
    expect(readFileSync(join(result, 'result'), 'utf8')).toBe('one');
  });

  it('leaves alone what another process is in the middle of making, and removes what a dead one left', async () => {
    const begun = [process.ppid, 999_999_999].map((pid) => join(folder, 'disk', `${stepKey('disk', { a: '9' })}.partial-${pid}`));
    for (const other of begun) mkdirSync(other, { recursive: true });
    await runner.run('disk', { a: '1' }, make('one'));
    expect(begun.map((other) => existsSync(other))).toEqual([true, false]);
  });

  it('has keys that tell steps, inputs and values apart', () => {
    const keys = [
      stepKey('a', { x: '1' }),
      stepKey('b', { x: '1' }),
      stepKey('a', { x: '2' }),
      stepKey('a', { y: '1' }),
      stepKey('a', { x: '1', y: '1' }),
      stepKey('a', {}),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});
