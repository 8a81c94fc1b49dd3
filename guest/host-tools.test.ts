import { describe, expect, it } from 'vitest';
import { ensureHostTools, type HostMachine } from './host-tools.ts';

function machine(options: { missing: string[]; isDebian?: boolean; isRoot?: boolean; installs?: boolean }): HostMachine & { installed: string[] } {
  const missing = new Set(options.missing);
  const installed: string[] = [];
  return {
    installed,
    has: (command) => Promise.resolve(!missing.has(command)),
    isDebian: options.isDebian ?? true,
    isRoot: options.isRoot ?? false,
    install: (packages) => {
      installed.push(...packages);
      if (options.installs !== false) missing.clear();
      return Promise.resolve();
    },
  };
}

const log = (): void => undefined;

describe('the tools of the host', () => {
  it('are left alone when all are there', async () => {
    const host = machine({ missing: [], isRoot: true });
    await ensureHostTools(host, log);
    expect(host.installed).toEqual([]);
  });

  it('are installed by root on Debian', async () => {
    const host = machine({ missing: ['gcc', 'mke2fs', 'debugfs'], isRoot: true });
    await ensureHostTools(host, log);
    expect(host.installed).toEqual(['e2fsprogs', 'gcc']);
  });

  it('are named with the command that installs them, for anybody else', async () => {
    const host = machine({ missing: ['xz', 'gcc'] });
    await expect(ensureHostTools(host, log)).rejects.toMatchObject({
      reason: 'host-tools-missing',
      message: expect.stringContaining('sudo apt-get install --no-install-recommends gcc xz-utils') as string,
    });
    expect(host.installed).toEqual([]);
  });

  it('are named when installing them did not help', async () => {
    const host = machine({ missing: ['gcc'], isRoot: true, installs: false });
    await expect(ensureHostTools(host, log)).rejects.toMatchObject({ reason: 'host-tools-missing' });
  });

  it('cannot be had without apt-get: the way out is a finished set', async () => {
    const host = machine({ missing: ['apt-get'], isRoot: true });
    await expect(ensureHostTools(host, log)).rejects.toMatchObject({ reason: 'not-debian', message: expect.stringContaining('--guest-url') as string });
  });
});
