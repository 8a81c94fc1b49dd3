import { expect, it, vi } from 'vitest';
import { attemptToType } from './typing.ts';

it('tells why what was typed is not taken, and throws nothing', () => {
  const refused = vi.fn();
  attemptToType(() => undefined, refused);
  expect(refused).not.toHaveBeenCalled();
  attemptToType(() => {
    throw new Error('This VM has ended; there is nobody to type for.');
  }, refused);
  expect(refused).toHaveBeenCalledWith(new Error('This VM has ended; there is nobody to type for.'));
});
