import { expect, it } from 'vitest';
import { isPlainClick } from './plain-click.ts';

it('knows a click that only follows a link', () => {
  const plain = { button: 0, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false };
  expect(isPlainClick(plain)).toBe(true);
  for (const other of [{ button: 1 }, { ctrlKey: true }, { metaKey: true }, { shiftKey: true }, { altKey: true }])
    expect(isPlainClick({ ...plain, ...other })).toBe(false);
});
