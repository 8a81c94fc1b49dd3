/**
 * What every store of the relay's records promises, whatever it keeps them in (PROTOCOL.md, NR25): a change is durable
 * when `put` or `remove` returns, and when one of them throws a StoreRefusal, nothing has changed, neither here nor on
 * disk.
 */

/** `settling`: ends or confirms what is stored already, so it may use the space that is kept free for that. */
export type WriteUse = 'new' | 'settling';

export interface KeyValueStore {
  /** Ordered or not; values are JSON. */
  entries(): Iterable<readonly [key: string, value: unknown]>;
  /** Throws StoreRefusal or StoreUnsure. */
  put(key: string, value: unknown, use?: WriteUse): void;
  /** Throws StoreRefusal or StoreUnsure; a key that is not there is no error. */
  remove(key: string): void;
  close(): Promise<void>;
}

export type RefusalKind = 'full' | 'read-only' | 'failed';

const SENTENCES: Readonly<Record<RefusalKind, string>> = {
  full: "The server's disk is full",
  'read-only': "The server's disk cannot be written",
  failed: "The server's disk does not work",
};

/** The change was not stored; nothing is different from before. The message is a sentence without its full stop. */
export class StoreRefusal extends Error {
  override readonly name = 'StoreRefusal';
  readonly kind: RefusalKind;

  /** For the person whose change was refused. */
  get sentence(): string {
    return this.kind === 'full'
      ? `${this.message}, so nothing was changed. Free some space on it, then try again.`
      : `${this.message}, so nothing was changed. See to it, then try again.`;
  }

  constructor(kind: RefusalKind, detail = '') {
    super(`${SENTENCES[kind]}${detail === '' ? '' : ` (${detail})`}`);
    this.kind = kind;
  }
}

/**
 * The disk failed, and nobody can tell whether the change was stored. The store takes no more changes; it must be
 * reopened, and then says what is stored.
 */
export class StoreUnsure extends Error {
  override readonly name = 'StoreUnsure';
}

/** What is on disk is not what a store wrote. The message says what is wrong. */
export class StoreDamaged extends Error {
  override readonly name = 'StoreDamaged';
}

/** The refusal that a file system error means for a change that was not made. */
export function refusalFor(error: unknown): StoreRefusal {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOSPC' || code === 'EDQUOT') return new StoreRefusal('full');
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return new StoreRefusal('read-only', code);
  return new StoreRefusal('failed', code === '' ? String(error) : code);
}

/** Tries to make a change that can also be made later. False if the store refused it for now. */
export function triesToStore(change: () => void): boolean {
  try {
    change();
    return true;
  } catch (error) {
    if (!(error instanceof StoreRefusal)) throw error;
    return false;
  }
}

/** Keeps nothing across a restart, unless the caller holds `records`. For tests and throw-away servers. */
export function memoryKeyValueStore(records = new Map<string, string>()): KeyValueStore {
  return {
    entries: () => [...records].map(([key, value]): [string, unknown] => [key, JSON.parse(value)]),
    put(key, value) {
      records.set(key, JSON.stringify(value));
    },
    remove(key) {
      records.delete(key);
    },
    close: () => Promise.resolve(),
  };
}
