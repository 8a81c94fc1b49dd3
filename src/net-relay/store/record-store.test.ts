/** The record store on a real directory and on a disk that fails (NR25): what is damaged, torn, full and gone. */
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import { FULL } from '../../shared/testing/full.ts';
import { nodeDisk } from './disk.ts';
import { memoryKeyValueStore, StoreDamaged, StoreRefusal, StoreUnsure, type KeyValueStore } from './key-value-store.ts';
import { openRecordStore } from './record-store.ts';
import { ModelDisk, PowerLoss, systemError } from './testing/model-disk.ts';
import { contentOf, describeStore } from './testing/store-contract.ts';

describeStore('in memory', () => {
  const records = new Map<string, string>();
  return { open: () => memoryKeyValueStore(records), dispose: () => undefined };
});

describeStore('in files', () => {
  const parent = mkdtempSync(join(tmpdir(), 'tabmotion-store-'));
  return { open: () => openRecordStore(nodeDisk(join(parent, 'records'))), dispose: () => rmSync(parent, { recursive: true }) };
});

describeStore('on the model disk', () => {
  const disk = new ModelDisk(new SeededRandom(1));
  return { open: () => openRecordStore(disk), dispose: () => undefined };
});

/** A store that has been in use: replaced and removed records, and a few moves from file to file. */
function fill(store: KeyValueStore, changes: number): void {
  for (let change = 0; change < changes; change++) {
    if (change % 7 === 6) store.remove(`vm/default/vm-${change % 5}`);
    else store.put(`vm/default/vm-${change % 9}`, { change, tokens: 'abcdef0123456789'.repeat(change % 50) });
  }
}

describe('a store in files', () => {
  let parent: string;
  let directory: string;
  const open = (): KeyValueStore => openRecordStore(nodeDisk(directory));
  const file = (name: string): string => join(directory, name);
  /** The one that holds the records. */
  const current = (): string => file(['records-1', 'records-2'].find((name) => readFileSync(file(name))[0] !== 0) ?? '');

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'tabmotion-store-'));
    directory = join(parent, 'records');
  });
  afterEach(() => rmSync(parent, { recursive: true }));

  it('is for this user alone', async () => {
    const store = open();
    for (const path of [directory, file('records-1'), file('records-2')]) expect(statSync(path).mode & 0o077).toBe(0);
    await store.close();
  });

  it('stays as small as what it keeps, however often that changes', async () => {
    const store = open();
    for (let change = 0; change < 800; change++) store.put(`vm/default/vm-${change % 5}`, { change, text: 'x'.repeat(600) });
    expect(statSync(current()).size).toBe(64 * 1024);
    await store.close();
  });

  it('grows as it needs to', async () => {
    const store = open();
    for (let vm = 0; vm < 300; vm++) store.put(`vm/default/vm-${vm}`, { vm, text: 'x'.repeat(600) });
    expect(Object.keys(contentOf(open()))).toHaveLength(300);
    await store.close();
  });

  it('that was cut off at any length is said to be damaged', async () => {
    const store = open();
    fill(store, 100);
    await store.close();
    const path = current();
    const whole = readFileSync(path);
    const random = new SeededRandom(3);
    const lengths = [
      0,
      1,
      511,
      512,
      513,
      1024,
      whole.length - 512,
      whole.length - 1,
      ...Array.from({ length: FULL ? 500 : 60 }, () => random.below(whole.length)),
    ];
    for (const length of lengths) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      expect(open, `${length} bytes`).toThrow(StoreDamaged);
    }
    writeFileSync(path, Buffer.concat([whole, Buffer.alloc(512)]));
    expect(open).toThrow(StoreDamaged);
    writeFileSync(path, whole);
    expect(open).not.toThrow();
  });

  it('with any byte changed is said to be damaged, or holds what was stored', async () => {
    const store = open();
    fill(store, 100);
    const stored = contentOf(store);
    await store.close();
    const path = current();
    const whole = readFileSync(path);
    const written = whole.findLastIndex((byte) => byte !== 0) + 1;
    const random = new SeededRandom(4);
    const places = [0, 8, 20, 29, 511, 512, written - 512, written - 1, ...Array.from({ length: FULL ? 20_000 : 400 }, () => random.below(whole.length))];
    for (const place of places) {
      const changed = Buffer.from(whole);
      changed[place] = (changed[place] ?? 0) ^ (1 + random.below(255));
      writeFileSync(path, changed);
      expect(open, `byte ${place}`).toThrow(StoreDamaged);
    }
    // The spare's content counts for nothing; its header would.
    writeFileSync(path, whole);
    const spare = file(path.endsWith('1') ? 'records-2' : 'records-1');
    const idle = readFileSync(spare);
    for (const place of [512, 40_000, idle.length - 1]) {
      const changed = Buffer.from(idle);
      changed[place] = (changed[place] ?? 0) ^ 0x55;
      writeFileSync(spare, changed);
      const reopened = open();
      expect(contentOf(reopened)).toEqual(stored);
      await reopened.close();
    }
    idle[3] = 0x55;
    writeFileSync(spare, idle);
    expect(open).toThrow(StoreDamaged);
  });

  it('with a stretch of zeros or of noise in it, or two stretches exchanged, is said to be damaged', async () => {
    const store = open();
    fill(store, 100);
    await store.close();
    const path = current();
    const whole = readFileSync(path);
    const sectors = (whole.findLastIndex((byte) => byte !== 0) + 1) / 512;
    const random = new SeededRandom(5);
    for (let round = 0; round < (FULL ? 2000 : 60); round++) {
      const changed = Buffer.from(whole);
      const [from = 0, to = 0] = [random.below(sectors), random.below(sectors)].sort((a, b) => a - b);
      const kind = random.pick(['zeros', 'noise', 'exchange'] as const);
      if (kind === 'noise') changed.set(random.bytes(512), from * 512);
      // The last record alone may be missing: then its write was cut off.
      else if (kind === 'zeros') changed.fill(0, from * 512, Math.min(to, sectors - 20) * 512 || 512);
      else whole.copy(changed, from * 512, to * 512, (to + 1) * 512);
      if (changed.equals(whole)) continue;
      writeFileSync(path, changed);
      expect(open, `round ${round}: ${kind} ${from} ${to}`).toThrow(StoreDamaged);
    }
  });

  it.each([
    ['a file of another program', () => writeFileSync(current(), 'SQLite format 3\0'.repeat(4096))],
    ['an empty file', () => writeFileSync(current(), '')],
    ['no file', () => rmSync(current())],
    [
      'a directory',
      () => {
        const path = current();
        rmSync(path);
        mkdirSync(path);
      },
    ],
    [
      'a spare that is a directory',
      () => {
        rmSync(file('records-2'), { recursive: true });
        mkdirSync(file('records-2'));
      },
    ],
    [
      'an empty directory',
      () => {
        rmSync(directory, { recursive: true });
        mkdirSync(directory);
      },
    ],
    [
      'a file in place of the directory',
      () => {
        rmSync(directory, { recursive: true });
        writeFileSync(directory, 'x');
      },
    ],
    [
      'the spare twice',
      () => {
        const path = current();
        cpSync(file(path.endsWith('1') ? 'records-2' : 'records-1'), path);
      },
    ],
  ])('where there is %s is said to be damaged, and nothing is changed', async (_, damage) => {
    const store = open();
    store.put('room/default', { key: 'k' });
    await store.close();
    damage();
    expect(open).toThrow(StoreDamaged);
    expect(open).toThrow(directory);
  });

  it('says that another version wrote it', async () => {
    await open().close();
    const path = current();
    const { encodeRecord } = await import('./record-sectors.ts');
    const bytes = readFileSync(path);
    bytes.set(encodeRecord(0, Buffer.from(JSON.stringify({ format: 'tabmotion records 2', generation: 1, first: 1, sectors: 128 }))));
    writeFileSync(path, bytes);
    expect(open).toThrow('another version of TabMotion');
  });

  it('refuses by name what it cannot store because somebody removed or cut off its file', async () => {
    const store = open();
    store.put('room/default', { key: 'k' });
    truncateSync(current(), 700);
    expect(() => store.put('room/other', {})).toThrow(StoreRefusal);
    expect(contentOf(store)).toEqual({ 'room/default': { key: 'k' } });
    rmSync(directory, { recursive: true });
    expect(() => store.put('room/other', {})).toThrow('another program has changed or removed');
    await store.close();
  });

  it('refuses by name to write where another process has written', async () => {
    const first = open();
    first.put('room/default', { key: 'k' });
    const second = open();
    second.put('room/other', { key: 'o' });
    expect(() => first.put('room/third', {})).toThrow('another program has changed or removed');
    // Nor when the other one has moved to the other file.
    for (let change = 0; change < 200; change++) second.put('room/other', { change });
    expect(() => first.remove('room/default')).toThrow(StoreRefusal);
    expect(contentOf(open())).toEqual({ 'room/default': { key: 'k' }, 'room/other': { change: 199 } });
    await first.close();
    await second.close();
  });

  it('cannot be made in a directory that is read-only, and leaves nothing there', { skip: process.getuid?.() === 0 }, () => {
    chmodSync(parent, 0o500);
    expect(open).toThrow(StoreRefusal);
    chmodSync(parent, 0o700);
    expect(existsSync(`${directory}.new`)).toBe(false);
  });
});

/** Performs changes until the power fails; says what was acknowledged, and what was not known to be. */
function work(
  store: KeyValueStore,
  random: SeededRandom,
  acknowledged: Map<string, unknown>,
  changes: number,
  onRefusal: (error: unknown) => void,
): { inFlight: ReadonlyMap<string, unknown> | null } {
  for (let change = 0; change < changes; change++) {
    const key = `vm/default/${random.below(12)}`;
    const after = new Map(acknowledged);
    const remove = random.chance(0.25);
    const value = { change, text: 'x'.repeat(random.below(2000)) };
    if (remove) after.delete(key);
    else after.set(key, value);
    try {
      if (remove) store.remove(key);
      else store.put(key, value, random.chance(0.5) ? 'new' : 'settling');
    } catch (error) {
      if (error instanceof PowerLoss || error instanceof StoreUnsure || !(error instanceof StoreRefusal)) return { inFlight: after };
      onRefusal(error);
      expect(contentOf(store)).toEqual(Object.fromEntries(acknowledged));
      continue;
    }
    acknowledged.clear();
    for (const [each, kept] of after) acknowledged.set(each, kept);
  }
  return { inFlight: null };
}

describe('a store whose power fails', () => {
  it('has every acknowledged change afterwards, and at most the one under way besides, whole', () => {
    let torn = 0;
    for (let seed = 1; seed <= (FULL ? 5000 : 60); seed++) {
      const random = new SeededRandom(seed);
      const disk = new ModelDisk(random);
      const acknowledged = new Map<string, unknown>();
      for (let life = 0; life < 4; life++) {
        disk.powerLossAt = disk.steps + 1 + random.below(120);
        let inFlight: ReadonlyMap<string, unknown> | null = null;
        try {
          ({ inFlight } = work(openRecordStore(disk), random, acknowledged, 60, () => undefined));
        } catch (error) {
          // It failed while the store was being opened.
          if (!(error instanceof PowerLoss || error instanceof StoreRefusal || error instanceof StoreUnsure)) throw error;
        }
        disk.restart();
        const content = JSON.stringify(Object.entries(contentOf(openRecordStore(disk))).sort());
        const allowed = [acknowledged, ...(inFlight === null ? [] : [inFlight])].map((map) => JSON.stringify([...map].sort()));
        expect(allowed, `seed ${seed}, life ${life}`).toContain(content);
        if (inFlight !== null && content === allowed[1]) {
          torn += 1;
          acknowledged.clear();
          for (const [key, value] of inFlight) acknowledged.set(key, value);
        }
      }
    }
    // The property is empty if a change under way never made it.
    expect(torn).toBeGreaterThan(5);
  });
});

describe('a store on a disk that fails', () => {
  const content = (disk: ModelDisk): Record<string, unknown> => contentOf(openRecordStore(disk));

  it('refuses by name, has changed nothing then, here and on disk, and works again when the disk does', () => {
    let refused = 0;
    let unsure = 0;
    for (let seed = 1; seed <= (FULL ? 3000 : 60); seed++) {
      const random = new SeededRandom(seed);
      const disk = new ModelDisk(random);
      const acknowledged = new Map<string, unknown>();
      let store = openRecordStore(disk);
      for (let time = 0; time < 6; time++) {
        const failing = random.pick(['write', 'sync', 'truncate'] as const);
        const code = random.pick(['ENOSPC', 'EIO', 'EROFS']);
        const probability = random.next() * 0.5;
        disk.fails = (step) => (step === failing && random.chance(probability) ? systemError(code) : null);
        const { inFlight } = work(store, random, acknowledged, 20, (error) => {
          refused += 1;
          expect((error as StoreRefusal).kind).toBe({ ENOSPC: 'full', EIO: 'failed', EROFS: 'read-only' }[code]);
        });
        disk.fails = () => null;
        if (inFlight === null) {
          // Nothing is left that the next process would take for valid, even if it starts after a loss of power.
          if (random.chance(0.3)) {
            disk.restart();
            store = openRecordStore(disk);
          }
          expect(content(disk), `seed ${seed}`).toEqual(Object.fromEntries(acknowledged));
        } else {
          unsure += 1;
          expect(() => store.put('anything', 1)).toThrow(StoreUnsure);
          disk.restart();
          store = openRecordStore(disk);
          const found = contentOf(store);
          expect([Object.fromEntries(acknowledged), Object.fromEntries(inFlight)], `seed ${seed}`).toContainEqual(found);
          acknowledged.clear();
          for (const [key, value] of Object.entries(found)) acknowledged.set(key, value);
        }
      }
    }
    expect(refused).toBeGreaterThan(100);
    expect(unsure).toBeGreaterThan(5);
  });

  it('can be opened whichever steps fail while it grows, one or a few in a row', () => {
    const fillUp = (disk: ModelDisk): { store: KeyValueStore; put: () => void; acknowledged: Record<string, unknown> } => {
      const store = openRecordStore(disk);
      const acknowledged: Record<string, unknown> = {};
      let vm = 0;
      const put = (): void => {
        const key = `vm/default/vm-${++vm}`;
        store.put(key, { text: 'x'.repeat(600) });
        acknowledged[key] = { text: 'x'.repeat(600) };
      };
      return { store, put, acknowledged };
    };
    const sizes = (disk: ModelDisk): number => [...disk.files.values()].reduce((sum, { cached }) => sum + cached.length, 0);
    // How many changes come before the one that makes it grow, and how many steps that one takes.
    const rehearsal = new ModelDisk(new SeededRandom(1));
    const rehearsed = fillUp(rehearsal);
    let before = 0;
    let steps = 0;
    for (const size = sizes(rehearsal); sizes(rehearsal) === size; before++) {
      const from = rehearsal.steps;
      rehearsed.put();
      steps = rehearsal.steps - from;
    }
    expect(steps).toBeGreaterThan(8);
    let refused = 0;
    for (let first = 1; first <= steps; first++) {
      for (let last = first; last < first + 5; last++) {
        const disk = new ModelDisk(new SeededRandom(1));
        const { put, acknowledged } = fillUp(disk);
        for (let change = 1; change < before; change++) put();
        const from = disk.steps;
        disk.fails = () => (disk.steps >= from + first && disk.steps <= from + last ? systemError('EIO') : null);
        let failure: unknown = null;
        try {
          put();
        } catch (error) {
          failure = error;
        }
        disk.fails = () => null;
        if (failure instanceof StoreUnsure) continue;
        if (failure !== null) {
          expect(failure).toBeInstanceOf(StoreRefusal);
          refused += 1;
        }
        expect(content(disk), `steps ${first} to ${last}`).toEqual(acknowledged);
        for (let more = 0; more < 3; more++) put();
        expect(content(disk), `steps ${first} to ${last}, later`).toEqual(acknowledged);
        disk.restart();
        expect(content(disk), `steps ${first} to ${last}, after a loss of power`).toEqual(acknowledged);
      }
    }
    expect(refused).toBeGreaterThan(5);
  });

  it('that is full goes on moving and ending VMs, refuses new ones by name, and grows when there is space again', () => {
    const disk = new ModelDisk(new SeededRandom(1));
    disk.bytesFree = 192 * 1024;
    const store = openRecordStore(disk);
    const vm = (text: string): unknown => ({ text: text.repeat(700) });
    let made = 0;
    const create = (): void => {
      store.put(`vm/default/vm-${made}`, vm('a'));
      made += 1;
    };
    expect(() => {
      for (;;) create();
    }).toThrow("The server's disk is full");
    expect(made).toBeGreaterThan(30);
    expect(create).toThrow("The server's disk is full");
    // A move changes a record: a thousand of them need no space.
    for (let move = 0; move < 1000; move++) store.put(`vm/default/vm-${move % made}`, vm(String(move % 10)), 'settling');
    expect(Object.keys(content(disk))).toHaveLength(made);
    store.remove('vm/default/vm-3');
    store.remove('vm/default/vm-4');
    create();
    expect(() => {
      for (;;) create();
    }).toThrow(StoreRefusal);
    disk.bytesFree += 1024 * 1024;
    for (let more = 0; more < 200; more++) create();
    expect(Object.keys(content(disk))).toHaveLength(made - 2);
  });

  it('that is full from the start is refused by name, and nothing is left there', () => {
    const disk = new ModelDisk(new SeededRandom(1));
    disk.bytesFree = 70 * 1024;
    expect(() => openRecordStore(disk)).toThrow("The server's disk is full");
    expect(disk.exists()).toBe(false);
  });
});
