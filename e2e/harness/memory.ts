/** What a tab still holds after a forced garbage collection, and which of it grew. */
import type { CDPSession } from '@playwright/test';
import type { HostPage } from './host-page.ts';

/**
 * Node types of a heap snapshot that the page does not control: V8 decides how much code it compiles, and that differs by
 * 500 kB from run to run.
 */
const NOT_THE_PAGE = new Set(['code', 'native', 'synthetic', 'hidden', 'object shape']);
const STRINGS = new Set(['string', 'concatenated string', 'sliced string']);

/**
 * Bytes of the page's JavaScript objects and strings, by constructor, or by node type where there is none: without the
 * code that V8 compiled.
 */
export type HeapBytes = ReadonlyMap<string, number>;

/** The parts of V8's heap snapshot that are read here. */
interface HeapSnapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly [readonly string[], ...unknown[]] } };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

export class TabMemory {
  private readonly session: CDPSession;

  private constructor(session: CDPSession) {
    this.session = session;
  }

  static async of(host: HostPage): Promise<TabMemory> {
    return new TabMemory(await host.page.context().newCDPSession(host.page));
  }

  /** Takes seconds: it stops the page and writes its whole heap down. */
  async heapBytes(): Promise<HeapBytes> {
    // Finalizers may free more objects: the snapshot's own collection sees those.
    await this.session.send('HeapProfiler.collectGarbage');
    return bytesByKind(await this.snapshot());
  }

  async eventListeners(): Promise<number> {
    await this.session.send('HeapProfiler.collectGarbage');
    await this.session.send('HeapProfiler.collectGarbage');
    return (await this.session.send('Memory.getDOMCounters')).jsEventListeners;
  }

  private async snapshot(): Promise<HeapSnapshot> {
    const chunks: string[] = [];
    const keep = ({ chunk }: { chunk: string }): void => void chunks.push(chunk);
    this.session.on('HeapProfiler.addHeapSnapshotChunk', keep);
    await this.session.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
    this.session.off('HeapProfiler.addHeapSnapshotChunk', keep);
    return JSON.parse(chunks.join('')) as HeapSnapshot;
  }
}

function bytesByKind({ snapshot: { meta }, nodes, strings }: HeapSnapshot): HeapBytes {
  const types = meta.node_types[0];
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => meta.node_fields.indexOf(field)) as [number, number, number];
  const bytes = new Map<string, number>();
  for (let at = 0; at < nodes.length; at += meta.node_fields.length) {
    const kind = types[nodes[at + type] ?? 0] ?? '';
    if (NOT_THE_PAGE.has(kind)) continue;
    const key = STRINGS.has(kind) ? 'strings' : kind === 'object' ? (strings[nodes[at + name] ?? 0] ?? kind) : kind;
    bytes.set(key, (bytes.get(key) ?? 0) + (nodes[at + size] ?? 0));
  }
  return bytes;
}

export interface Growth {
  readonly bytes: number;
  /** Which kinds grew most, for a message. */
  readonly text: string;
}

export function growth(before: HeapBytes, after: HeapBytes): Growth {
  const grown = [...after].map(([kind, bytes]) => ({ kind, bytes: bytes - (before.get(kind) ?? 0) }));
  grown.sort((one, other) => other.bytes - one.bytes);
  return {
    bytes: total(after) - total(before),
    text: grown
      .slice(0, 5)
      .map(({ kind, bytes }) => `${kind} ${bytes}`)
      .join(', '),
  };
}

function total(held: HeapBytes): number {
  return [...held.values()].reduce((sum, bytes) => sum + bytes, 0);
}
