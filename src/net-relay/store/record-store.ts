/**
 * The relay's records on disk: two files of the same kind. One holds the records, the other is the spare.
 *
 *   sector 0    the header: { format, generation, first, sectors }; all zero in the spare
 *   sector 1…   records (record-sectors.ts), each a change: [key, value], or [key] for a removal; then zeros to the end
 *
 * A change is one write into space that the file already has, and one sync: it needs no room on the disk, and it is
 * there after both or not at all. When a file has no room left, the records that still count are written to the spare,
 * its header last: at that moment the spare becomes the file, and the other one the spare. So a full disk hinders only
 * changes that need a larger file. A change that fails is undone before anybody is told that it failed.
 */
import * as v from 'valibot';
import { type Disk, type DiskFile, writeWhole } from './disk.ts';
import { type KeyValueStore, refusalFor, StoreDamaged, StoreRefusal, StoreUnsure, type WriteUse } from './key-value-store.ts';
import { decodeRecords, decodeSector, encodeRecord, SECTOR_BYTES, sectorsFor } from './record-sectors.ts';

/** 64 KiB: about forty VMs. Files double as they fill. */
const FIRST_SECTORS = 128;
/** Kept free for changes that settle what is stored already: a handful of leases, or the removal of everything. */
const RESERVE_SECTORS = 32;
/** A file fuller than this would be moved too often. */
const MOST_IN_USE = 0.75;
const NAMES = ['records-1', 'records-2'] as const;
const FORMAT = 'tabmotion records 1';

const headerSchema = v.object({ format: v.string(), generation: v.number(), first: v.number(), sectors: v.number() });
type Header = v.InferOutput<typeof headerSchema>;
const changeSchema = v.union([v.strictTuple([v.string()]), v.strictTuple([v.string(), v.unknown()])]);

interface OpenFile {
  readonly name: string;
  readonly file: DiskFile;
}

const toBytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const headerSector = (header: Header): Uint8Array => encodeRecord(0, toBytes(header));
const UNWRITTEN = new Uint8Array(SECTOR_BYTES);

/**
 * Opens the store, or makes an empty one. Throws StoreDamaged if what is there is not what a store wrote, StoreRefusal
 * if it cannot be made, and otherwise the system's error.
 */
export function openRecordStore(disk: Disk): KeyValueStore {
  if (!disk.exists()) {
    const empty = new Uint8Array(FIRST_SECTORS * SECTOR_BYTES);
    const first = empty.slice();
    first.set(headerSector({ format: FORMAT, generation: 1, first: 1, sectors: FIRST_SECTORS }));
    try {
      disk.create({ [NAMES[0]]: first, [NAMES[1]]: empty });
    } catch (error) {
      throw refusalFor(error);
    }
  }
  return new RecordStore(disk);
}

class RecordStore implements KeyValueStore {
  /** The JSON of every change that still counts, by key. */
  private readonly live = new Map<string, Uint8Array>();
  private current: OpenFile;
  private spare: OpenFile;
  private header: Header;
  /** Sectors in use, header included, and the number of the next record. */
  private used = 1;
  private next: number;
  private unsure: string | null = null;
  private closed = false;

  constructor(disk: Disk) {
    const opened: OpenFile[] = [];
    try {
      const found = NAMES.map((name) => {
        const file = openFile(disk, name);
        opened.push(file);
        const bytes = file.file.readAll();
        return { ...file, bytes, header: readHeader(disk, name, bytes) };
      });
      const [current, spare] = found.sort((a, b) => (b.header?.generation ?? 0) - (a.header?.generation ?? 0));
      if (current?.header == null || spare === undefined) throw new StoreDamaged(`neither ${NAMES.join(' nor ')} in ${disk.place} has a header`);
      this.current = current;
      this.spare = spare;
      this.header = current.header;
      this.next = this.header.first;
      this.read(disk, current.bytes);
    } catch (error) {
      for (const { file } of opened) file.close();
      throw error;
    }
  }

  *entries(): Generator<readonly [string, unknown]> {
    for (const [key, change] of this.live) yield [key, (JSON.parse(Buffer.from(change).toString()) as [string, unknown])[1]];
  }

  put(key: string, value: unknown, use: WriteUse = 'new'): void {
    const change = toBytes([key, value]);
    this.write(key, change, use);
    this.live.set(key, change);
  }

  remove(key: string): void {
    if (!this.live.has(key)) return;
    this.write(key, toBytes([key]), 'settling');
    this.live.delete(key);
  }

  close(): Promise<void> {
    if (!this.closed) for (const { file } of [this.current, this.spare]) file.close();
    this.closed = true;
    return Promise.resolve();
  }

  private read(disk: Disk, bytes: Uint8Array): void {
    const { name } = this.current;
    const records = decodeRecords(bytes.subarray(SECTOR_BYTES), this.header.first);
    if ('damagedSector' in records) throw new StoreDamaged(`${name} in ${disk.place} has changed at byte ${(records.damagedSector + 1) * SECTOR_BYTES}`);
    for (const text of records.texts) {
      const change = parse(changeSchema, text);
      if (change === null) throw new StoreDamaged(`${name} in ${disk.place} has a record that is none`);
      if (change.length === 1) this.live.delete(change[0]);
      else this.live.set(change[0], toBytes(change));
    }
    this.used += records.used;
    this.next += records.texts.length;
    // A write that was cut off was never acknowledged. It is erased before another record is written in its place.
    if (records.tornTail) this.takeBack(this.used * SECTOR_BYTES, new Uint8Array(bytes.length - this.used * SECTOR_BYTES));
  }

  private write(key: string, change: Uint8Array, use: WriteUse): void {
    if (this.closed) throw new StoreUnsure('The store is closed.');
    if (this.unsure !== null) throw new StoreUnsure(this.unsure);
    const sectors = sectorsFor(change);
    const needed = sectors + (use === 'new' ? RESERVE_SECTORS : 0);
    this.checkUntouched();
    if (this.used + needed > this.header.sectors) this.makeRoom(key, needed);
    this.append(encodeRecord(this.next, change));
    this.used += sectors;
    this.next += 1;
  }

  private append(record: Uint8Array): void {
    const at = this.used * SECTOR_BYTES;
    const { file } = this.current;
    let written = 0;
    try {
      while (written < record.length) written += file.write(at + written, record.subarray(written));
      file.sync();
    } catch (error) {
      if (written > 0) this.takeBack(at, new Uint8Array(written));
      throw refusalFor(error);
    }
  }

  /** Writes zeros over what must not be there. */
  private takeBack(at: number, zeros: Uint8Array): void {
    try {
      writeWhole(this.current.file, at, zeros);
      this.current.file.sync();
    } catch (error) {
      this.becomeUnsure(error);
    }
  }

  private becomeUnsure(error: unknown): never {
    this.unsure = `The disk failed in the middle of a write (${error instanceof Error ? error.message : String(error)}).`;
    throw new StoreUnsure(this.unsure);
  }

  /**
   * If somebody truncates or removes the file, more than this change is lost; and another server that writes to it,
   * where the data directory's claim does not reach (a file system of two machines), is a second arbiter.
   */
  private checkUntouched(): void {
    let untouched: boolean;
    try {
      const { file } = this.current;
      untouched =
        file.size() === this.header.sectors * SECTOR_BYTES &&
        Buffer.compare(file.read(0, SECTOR_BYTES), headerSector(this.header)) === 0 &&
        (this.used === this.header.sectors || decodeSector(file.read(this.used * SECTOR_BYTES, SECTOR_BYTES)) === 'unwritten');
    } catch (error) {
      throw refusalFor(error);
    }
    if (!untouched) throw new StoreRefusal('failed', `another program has changed or removed ${this.current.name}`);
  }

  /** Switches to the spare, with the records that count and room for as many more sectors. Throws if there is no room. */
  private makeRoom(key: string, needed: number): void {
    let counting = 1;
    for (const [each, change] of this.live) counting += each === key ? 0 : sectorsFor(change);
    // What the change replaces counts until it is stored.
    counting += this.live.has(key) ? sectorsFor(this.live.get(key) ?? UNWRITTEN) : 0;
    const wanted = counting + needed;
    let sectors = this.header.sectors;
    while (wanted > sectors * MOST_IN_USE) sectors *= 2;
    if (sectors === this.header.sectors) {
      this.moveToSpare(sectors);
      return;
    }
    try {
      this.grow(sectors);
    } catch (error) {
      if (!(error instanceof StoreRefusal) || wanted > this.header.sectors) throw error;
      // There is no room for larger files, but removed and replaced records take some in this one.
      if (this.used + needed > this.header.sectors) this.moveToSpare(this.header.sectors);
    }
  }

  /** Grows both files or neither: on a full disk, the records could not move to a smaller spare. */
  private grow(sectors: number): void {
    const before = this.header.sectors;
    this.moveToSpare(sectors);
    try {
      // If the spare still has its old header, that names another length.
      writeWhole(this.spare.file, 0, UNWRITTEN);
      this.spare.file.sync();
      writeWhole(this.spare.file, before * SECTOR_BYTES, new Uint8Array((sectors - before) * SECTOR_BYTES));
      this.spare.file.sync();
    } catch (error) {
      this.moveToSpare(before);
      this.shrinkSpare();
      throw refusalFor(error);
    }
  }

  private moveToSpare(sectors: number): void {
    const { file } = this.spare;
    const header: Header = { format: FORMAT, generation: this.header.generation + 1, first: this.next, sectors };
    const bytes = new Uint8Array(sectors * SECTOR_BYTES);
    let used = 1;
    let next = this.next;
    for (const change of this.live.values()) {
      bytes.set(encodeRecord(next, change), used * SECTOR_BYTES);
      used += sectorsFor(change);
      next += 1;
    }
    try {
      // A spare that still has its old header must not count while it is written.
      writeWhole(file, 0, UNWRITTEN);
      file.sync();
      writeWhole(file, SECTOR_BYTES, bytes.subarray(SECTOR_BYTES));
      file.truncate(bytes.length);
      file.sync();
    } catch (error) {
      this.shrinkSpare();
      throw refusalFor(error);
    }
    try {
      writeWhole(file, 0, headerSector(header));
      file.sync();
    } catch (error) {
      this.withdrawHeader();
      throw refusalFor(error);
    }
    [this.current, this.spare] = [this.spare, this.current];
    this.header = header;
    this.used = used;
    this.next = next;
    this.dropSpareHeader();
  }

  /** Gives back the space of a spare that could not be made larger. A header that it still has names its present length. */
  private shrinkSpare(): void {
    const { file } = this.spare;
    const bytes = this.header.sectors * SECTOR_BYTES;
    try {
      if ((file.size() ?? 0) <= bytes) return;
      writeWhole(file, 0, UNWRITTEN);
      file.sync();
      file.truncate(bytes);
    } catch {
      // It stays larger than it needs to be until it is written the next time.
    }
  }

  /** If the new header might be on disk, changes to the present file might be lost with it. */
  private withdrawHeader(): void {
    try {
      writeWhole(this.spare.file, 0, UNWRITTEN);
      this.spare.file.sync();
    } catch (error) {
      this.becomeUnsure(error);
    }
  }

  private dropSpareHeader(): void {
    try {
      writeWhole(this.spare.file, 0, UNWRITTEN);
      this.spare.file.sync();
    } catch {
      // The older generation counts for nothing beside the newer.
    }
  }
}

function openFile(disk: Disk, name: string): OpenFile {
  try {
    return { name, file: disk.open(name) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new StoreDamaged(`there is no ${name} in ${disk.place}`);
    if (code === 'EISDIR') throw new StoreDamaged(`${name} in ${disk.place} is a directory`);
    throw error;
  }
}

/** Null in a spare. */
function readHeader(disk: Disk, name: string, bytes: Uint8Array): Header | null {
  if (bytes.length < SECTOR_BYTES) throw new StoreDamaged(`${name} in ${disk.place} is cut off after ${bytes.length} bytes`);
  const sector = decodeSector(bytes.subarray(0, SECTOR_BYTES));
  if (sector === 'unwritten') return null;
  const header = sector === 'damaged' ? null : parse(headerSchema, Buffer.from(sector.text).toString());
  if (header === null) throw new StoreDamaged(`${name} in ${disk.place} was not written by TabMotion, or has changed since`);
  if (header.format !== FORMAT) throw new StoreDamaged(`${name} in ${disk.place} was written by another version of TabMotion ("${header.format}")`);
  if (bytes.length !== header.sectors * SECTOR_BYTES)
    throw new StoreDamaged(`${name} in ${disk.place} has ${bytes.length} bytes instead of ${header.sectors * SECTOR_BYTES}`);
  return header;
}

function parse<S extends v.GenericSchema>(schema: S, text: string): v.InferOutput<S> | null {
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : null;
  } catch {
    return null;
  }
}
