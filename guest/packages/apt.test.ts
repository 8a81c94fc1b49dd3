import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunResult } from '../run-command.ts';
import { parsePackageRecords, PrivateApt, type AptMachine } from './apt.ts';
import { PACKAGES } from './package-list.ts';

const KERNEL = 'linux-image-6.1.0-50-686';
const ok = (stdout = ''): RunResult => ({ status: 0, stdout, stderr: '' });
const midSync: RunResult = {
  status: 100,
  stdout: '',
  stderr:
    'E: Failed to fetch http://mirror.example/debian/dists/stable/main/binary-i386/Packages.xz  File has unexpected size (1 != 2). Mirror sync in progress?\nE: Some index files failed to download. They have been ignored, or old ones used instead.\n',
};

const HOST_SETTINGS = `APT::Architecture "amd64";
APT::Update::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb || true";
Acquire "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "true";
`;

const content = (name: string): Buffer => Buffer.from(`package ${name}`);
const record = (name: string): string =>
  `Package: ${name}\nVersion: 1.0-1\nSource: ${name}-src (1.0)\nSize: ${content(name).length}\nSHA256: ${createHash('sha256').update(content(name)).digest('hex')}\n`;

describe('the private apt state', () => {
  let folder: string;
  let calls: string[];
  let slept: number[];
  let answer: (call: string, folder?: string) => RunResult;
  let apt: PrivateApt;
  const report = (): void => undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'apt-'));
    calls = [];
    slept = [];
    const machine: AptMachine = {
      run: (command, args, configFile, inFolder) => {
        const call = `${command} ${args.join(' ')}`;
        if (call === 'apt-config dump') {
          expect(configFile).toBeUndefined();
          return Promise.resolve(ok(HOST_SETTINGS));
        }
        calls.push(call);
        expect(configFile).toBe(join(folder, 'apt.conf'));
        return Promise.resolve(answer(call, inFolder));
      },
      sleep: (ms) => {
        slept.push(ms);
        return Promise.resolve();
      },
    };
    apt = new PrivateApt(folder, machine);
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const updates = (): number => calls.filter((call) => call.includes(' update')).length;

  it('goes by the sources, keys and proxy of the machine, and by nothing else of it', async () => {
    answer = () => ok();
    await apt.update(report);
    const settings = readFileSync(join(folder, 'apt.conf'), 'utf8');
    expect(settings).toContain('Acquire::http::Proxy "http://proxy.example:3128";');
    expect(settings).toContain('APT::Architecture "i386";');
    expect(settings).toContain(`Dir::State "${join(folder, 'state')}";`);
    expect(settings).not.toMatch(/Post-Invoke|DEP-11|amd64/);
  });

  it('asks again, later and later, while a mirror is in the middle of an update', async () => {
    answer = (call) => (call.includes(' update') ? (updates() < 4 ? midSync : ok()) : ok());
    expect(await apt.update(report)).toBeNull();
    expect(updates()).toBe(4);
    expect(slept).toEqual([...slept].sort((a, b) => a - b));
  });

  it('goes on with a warning when only a part of the index stays away', async () => {
    answer = (call) => (call.includes(' update') ? midSync : ok('Package: linux-image-686\nVersion: 1\n\nPackage: busybox-static\nVersion: 1\n'));
    const warning = await apt.update(report);
    expect(warning).toContain('could not be fetched');
    expect(warning).not.toContain('mirror.example');
  });

  it('gives up with the way out when there is no index at all', async () => {
    answer = (call) => (call.includes(' update') ? midSync : ok());
    await expect(apt.update(report)).rejects.toMatchObject({ reason: 'package-index', message: expect.stringContaining('--guest-url') as string });
  });

  it('resolves the versioned kernel and every package, with version, digest and source', async () => {
    answer = (call) => (call.includes('depends') ? ok(`linux-image-686\n  Depends: ${KERNEL}\n`) : ok([KERNEL, ...PACKAGES].map(record).join('\n')));
    const wanted = await apt.resolve();
    expect(wanted.map((entry) => entry.name)).toEqual([KERNEL, ...PACKAGES]);
    expect(wanted[0]).toMatchObject({ version: '1.0-1', source: `${KERNEL}-src`, sourceVersion: '1.0' });
  });

  it('refuses package sources without an i386 kernel, and names the two ways out', async () => {
    answer = () => ({ status: 100, stdout: '', stderr: 'E: No packages found' });
    await expect(apt.resolve()).rejects.toMatchObject({ reason: 'no-i386-kernel', message: expect.stringMatching(/guest\/Dockerfile.*--guest-url/) as string });
  });

  it('names a package that the sources do not have', async () => {
    answer = (call) =>
      call.includes('depends')
        ? ok(`  Depends: ${KERNEL}\n`)
        : ok(
            [KERNEL, ...PACKAGES]
              .filter((name) => name !== 'seabios')
              .map(record)
              .join('\n'),
          );
    await expect(apt.resolve()).rejects.toMatchObject({ reason: 'package-index', message: expect.stringContaining('seabios') as string });
  });

  describe('downloading', () => {
    const wanted = parsePackageRecords([record('one'), record('two')].join('\n'));
    const put = (name: string, bytes = content(name)): void => writeFileSync(join(folder, 'packages', `${name}_1.0-1_i386.deb`), bytes);

    it('fetches only what is not there, and finds it again the next time', async () => {
      put('one');
      answer = (call) => {
        expect(call).toContain('two=1.0-1');
        expect(call).not.toContain('one=');
        put('two');
        return ok();
      };
      const files = await apt.download(wanted, report);
      expect(files.map((entry) => existsSync(entry.file))).toEqual([true, true]);
      expect(calls).toHaveLength(1);
      await apt.download(wanted, report);
      expect(calls).toHaveLength(1);
    });

    it('does not take a package whose digest differs, and fetches it again', async () => {
      put('one');
      put('two', Buffer.from('package xxx'));
      answer = () => {
        put('two');
        return ok();
      };
      const files = await apt.download(wanted, report);
      expect(files).toHaveLength(2);
      expect(calls).toHaveLength(1);
    });

    it('tries a package again that does not come through, and then says which one it was', async () => {
      put('one');
      answer = () => ({ status: 100, stdout: '', stderr: 'E: Failed to fetch http://mirror.example/debian/pool/t/two.deb  Connection failed' });
      await expect(apt.download(wanted, report)).rejects.toMatchObject({
        reason: 'package-download',
        message: expect.stringMatching(/two 1\.0-1.*pool\/t\/two\.deb/) as string,
      });
      expect(slept.length).toBeGreaterThan(1);
    });
  });
});

describe('package records', () => {
  it('take the first of several with the same name, and skip what is incomplete', () => {
    const parsed = parsePackageRecords(
      'Package: a\nVersion: 2\nBuilt-Using: linux (= 6.1-1), glibc (= 2.36-9)\nSize: 5\nSHA256: ff\n\nPackage: a\nVersion: 1\nSize: 5\nSHA256: ee\n\nPackage: b\nVersion: 1\n',
    );
    expect(parsed).toEqual([{ name: 'a', version: '2', bytes: 5, sha256: 'ff', source: 'a', sourceVersion: '2', builtUsing: ['linux 6.1-1', 'glibc 2.36-9'] }]);
  });
});
