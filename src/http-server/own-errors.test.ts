import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { surviveOwnErrors } from './own-errors.ts';

it('says an error that reached nobody, once a minute, and goes on', () => {
  const source = new EventEmitter();
  const said: string[] = [];
  let now = 0;
  const watch = surviveOwnErrors(source, (line) => said.push(line), () => now);
  const error = new Error('broken');
  source.emit('uncaughtException', error);
  source.emit('unhandledRejection', 'no error at all');
  for (; now < 59_000; now += 1000) source.emit('uncaughtException', error);
  expect(said).toEqual([expect.stringContaining('goes on. Please report it: Error: broken'), expect.stringContaining('no error at all')]);
  now = 61_000;
  source.emit('uncaughtException', error);
  expect(said).toHaveLength(3);
  expect(said[2]).toContain('(59 times more since it was last said)');
  watch.dispose();
  expect(source.listenerCount('uncaughtException') + source.listenerCount('unhandledRejection')).toBe(0);
});

it('keeps no more than it needs of errors that differ each time', () => {
  const source = new EventEmitter();
  let said = 0;
  surviveOwnErrors(source, () => said++, () => 0);
  for (let number = 0; number < 1000; number++) source.emit('uncaughtException', `error ${number}`);
  expect(said).toBe(1000);
});
