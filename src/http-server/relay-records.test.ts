import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataDirectoryError } from './data-directory.ts';
import { openRelayRecords } from './relay-records.ts';

const IS_ROOT = process.getuid?.() === 0;

describe('the records in the data directory (NR25)', () => {
  let dataDir: string;
  let said: string[];
  const open = (moveDamagedAside = false) => openRelayRecords(dataDir, { moveDamagedAside, say: (line) => void said.push(line) });

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'relay-records-'));
    said = [];
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));

  it.each([
    ['cut off', () => truncateSync(join(dataDir, 'records/records-1'), 10_000)],
    ['empty', () => writeFileSync(join(dataDir, 'records/records-1'), '')],
    ['foreign', () => writeFileSync(join(dataDir, 'records/records-1'), 'a text of somebody else')],
    ['gone', () => rmSync(join(dataDir, 'records/records-2'))],
  ])('that are %s are a sentence with both ways out, and stay where they are until it is said to move them aside', async (_, damage) => {
    const store = open();
    store.put('room/default', { key: 'k' });
    await store.close();
    damage();
    const content = readFileSync(join(dataDir, 'records/records-1'));
    for (const part of ["The server's records are damaged", 'Put them back from a copy', '--data DIR', '--move-damaged-store-aside', 'rooms get new keys'])
      expect(() => open()).toThrow(part);
    expect(() => open()).toThrow(DataDirectoryError);
    expect(readFileSync(join(dataDir, 'records/records-1'))).toEqual(content);

    const empty = open(true);
    expect([...empty.entries()]).toEqual([]);
    await empty.close();
    const [aside = ''] = readdirSync(dataDir).filter((name) => name.startsWith('records.damaged-'));
    expect(readFileSync(join(dataDir, aside, 'records-1'))).toEqual(content);
    expect(said.join()).toContain(aside);
  });

  it('that are sound stay, also if they may be moved aside', async () => {
    const store = open();
    store.put('room/default', { key: 'k' });
    await store.close();
    const again = open(true);
    expect([...again.entries()]).toEqual([['room/default', { key: 'k' }]]);
    await again.close();
    expect(readdirSync(dataDir)).toEqual(['records']);
  });

  it('of an older version are a sentence, and are moved aside if that is said', async () => {
    mkdirSync(join(dataDir, 'relay'));
    writeFileSync(join(dataDir, 'relay/data.mdb'), 'x');
    expect(() => open()).toThrow(/an older version of TabMotion wrote .*relay\..*--move-damaged-store-aside/);
    expect(readdirSync(dataDir)).toEqual(['relay']);
    await open(true).close();
    expect(readdirSync(dataDir)).toEqual(['records', expect.stringContaining('relay.damaged-')]);
  });

  /** Opens the store as another user, in a process of its own. */
  function openAsNobody(): string {
    const module = new URL('relay-records.ts', import.meta.url).href;
    const script = `const { openRelayRecords } = await import(${JSON.stringify(module)}); try { openRelayRecords(${JSON.stringify(dataDir)}, { moveDamagedAside: false, say() {} }); console.log('opened'); } catch (error) { console.log(error.name + ': ' + error.message); }`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      encoding: 'utf8',
      uid: 65_534,
      gid: 65_534,
    });
    return stdout + stderr;
  }

  it.runIf(IS_ROOT)('that this user may not make, read or write are a sentence with the way out', async () => {
    chmodSync(dataDir, 0o755);
    expect(openAsNobody()).toMatch(/^DataDirectoryError: The server may not write to its data directory .* --data DIR\.$/m);
    await open().close();
    expect(openAsNobody()).toMatch(/^DataDirectoryError: The server's records in .* cannot be opened \(EACCES.*--data DIR\.$/m);
    chmodSync(join(dataDir, 'records'), 0o755);
    chmodSync(join(dataDir, 'records/records-1'), 0o444);
    expect(openAsNobody()).toContain('Let this user read and write there');
    chownSync(dataDir, 65_534, 65_534);
    chmodSync(dataDir, 0o000);
    expect(openAsNobody()).toContain('DataDirectoryError');
  });

  it.runIf(IS_ROOT && process.platform === 'linux')('on a full or a read-only file system are a sentence with the way out', () => {
    const mountPoint = join(dataDir, 'mounted');
    mkdirSync(mountPoint);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mountPoint]);
    expect(mounted.status).toBe(0);
    try {
      const there = () => openRelayRecords(mountPoint, { moveDamagedAside: false, say: () => undefined });
      expect(there).toThrow(
        `The server's disk is full: its records in ${mountPoint} need 128 KiB. Free some space, or choose another directory with --data DIR.`,
      );
      expect(readdirSync(mountPoint)).toEqual([]);
      expect(spawnSync('mount', ['-o', 'remount,ro', mountPoint]).status).toBe(0);
      expect(there).toThrow('The server may not write to its data directory');
    } finally {
      spawnSync('umount', [mountPoint]);
    }
  });
});
