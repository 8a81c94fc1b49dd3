import { expect, it } from 'vitest';
import { isLoopback } from './loopback.ts';

it("tells this machine's own names and addresses from others", () => {
  for (const own of ['localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]']) expect(isLoopback(own)).toBe(true);
  for (const other of ['192.0.2.1', 'localhost.example.org', '127.example.org', '[fe80::1]', '::', '0.0.0.0', 'example.org'])
    expect(isLoopback(other)).toBe(false);
});
