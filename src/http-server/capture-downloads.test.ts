import { once } from 'node:events';
import { Writable } from 'node:stream';
import { beforeEach, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { CaptureDownloads, type FilePieces } from './capture-downloads.ts';
import { MAX_DOWNLOADS } from '../net-relay/limits/server-limits.ts';

let clock: VirtualClock;
let downloads: CaptureDownloads;
beforeEach(() => {
  clock = new VirtualClock();
  downloads = new CaptureDownloads(clock);
});

/** A connection whose other side reads only when it is told to. */
class Connection extends Writable {
  readonly taken: Buffer[] = [];
  private unread: (() => void) | null = null;

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.taken.push(piece);
    this.unread = done;
    this.emit('piece');
  }

  read(): void {
    const done = this.unread;
    this.unread = null;
    done?.();
  }
}

const PIECES = [1000, 1000, 1000, 5].map((length, piece) => new Uint8Array(length).map((_, at) => piece + at * 7));
let disposed = 0;
beforeEach(() => (disposed = 0));
const open = (): FilePieces => ({ pieces: PIECES, dispose: () => disposed++ });

it('is sent as fast as it is read: one piece waits at a time (GW60)', async () => {
  const connection = new Connection();
  expect(downloads.begin('default')).toBe('begun');
  const sent = downloads.send('default', open, connection);
  for (let pieces = 1; pieces <= 4; pieces++) {
    if (connection.taken.length < pieces) await once(connection, 'piece');
    expect([connection.taken.length, connection.writableLength <= 1000]).toEqual([pieces, true]);
    connection.read();
  }
  await sent;
  expect(Buffer.concat(connection.taken).equals(Buffer.concat(PIECES))).toBe(true);
  expect([connection.writableEnded, downloads.figures(), disposed, clock.pending]).toEqual([true, { open: 0, refusals: {} }, 1, 0]);
});

it('is ended when its reader takes nothing for a while, and counted (GW60)', async () => {
  const connection = new Connection();
  downloads.begin('default');
  const sent = downloads.send('default', open, connection);
  connection.read();
  await once(connection, 'piece');
  expect(clock.fireNext()).toBe(true);
  await sent;
  expect([connection.destroyed, downloads.figures(), disposed, clock.pending]).toEqual([true, { open: 0, refusals: { 'not-read': 1 } }, 1, 0]);
});

it('gives its place back when the reader goes', async () => {
  const connection = new Connection();
  downloads.begin('default');
  const sent = downloads.send('default', open, connection);
  connection.destroy();
  await sent;
  expect([downloads.begin('default'), disposed, clock.pending]).toEqual(['begun', 1, 0]);
  await downloads.send('default', open, connection);
  expect(downloads.figures()).toEqual({ open: 0, refusals: {} });
});

it('gives its place back when the file cannot be had', async () => {
  downloads.begin('default');
  await expect(
    downloads.send(
      'default',
      () => {
        throw new RangeError('Array buffer allocation failed');
      },
      new Connection(),
    ),
  ).rejects.toThrow('allocation');
  expect(downloads.figures().open).toBe(0);
});

it('is one of a room at once, and eight of all rooms (GW60)', () => {
  for (let room = 0; room < MAX_DOWNLOADS; room++) expect(downloads.begin(`room-${room}`)).toBe('begun');
  expect([downloads.begin('room-0'), downloads.begin('one-more')]).toEqual(['room-busy', 'downloads-full']);
  expect(downloads.figures()).toEqual({ open: MAX_DOWNLOADS, refusals: { 'room-busy': 1, 'downloads-full': 1 } });
});
