import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { Counters } from '../shared/counters.ts';
import { surviveOwnErrors, type OwnError } from './own-errors.ts';

it('says an error that reached nobody, once a minute, and goes on', () => {
  const source = new EventEmitter();
  const said: string[] = [];
  let now = 0;
  const counters = new Counters<OwnError>();
  const watch = surviveOwnErrors(
    source,
    (line) => said.push(line),
    counters,
    () => now,
  );
  const error = new Error('broken');
  source.emit('uncaughtException', error);
  source.emit('unhandledRejection', 'no error at all');
  for (; now < 59_000; now += 1000) source.emit('uncaughtException', error);
  expect(said).toEqual([expect.stringContaining('goes on. Please report it: Error: broken'), expect.stringContaining('no error at all')]);
  now = 61_000;
  source.emit('uncaughtException', error);
  expect(said).toHaveLength(3);
  expect(said[2]).toContain('(59 times more since it was last said)');
  expect(counters.toJSON()).toEqual({ 'uncaught-exception': 61, 'unhandled-rejection': 1 });
  watch.dispose();
  expect(source.listenerCount('uncaughtException') + source.listenerCount('unhandledRejection')).toBe(0);
});

it('keeps no more than it needs of errors that differ each time', () => {
  const source = new EventEmitter();
  let said = 0;
  surviveOwnErrors(
    source,
    () => said++,
    new Counters(),
    () => 0,
  );
  for (let number = 0; number < 1000; number++) source.emit('uncaughtException', `error ${number}`);
  expect(said).toBe(1000);
});

it('keeps a real process going that nobody catches rejections and exceptions for, whatever they are', async () => {
  const program = `
    const { surviveOwnErrors } = await import(${JSON.stringify(new URL('own-errors.ts', import.meta.url).href)});
    const counts = {};
    surviveOwnErrors(process, () => undefined, { add: (name) => { counts[name] = (counts[name] ?? 0) + 1; } });
    for (const thrown of [new Error('a'), 'b', undefined, Object.create(null), { toString() { throw new Error('c'); } }]) {
      void Promise.reject(thrown);
      setImmediate(() => { throw thrown; });
    }
    setImmediate(() => setImmediate(() => setImmediate(() => console.log(JSON.stringify(counts)))));`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  expect(JSON.parse(await text(child.stdout))).toEqual({ 'unhandled-rejection': 5, 'uncaught-exception': 5 });
});
