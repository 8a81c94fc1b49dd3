/**
 * A relay that survives a failure of its store. If the disk fails so that nobody can tell what it holds (StoreUnsure),
 * the relay is gone, as after a crash. The store is then reopened until that succeeds, and the next relay starts with
 * what the store holds.
 */
import type { Disposable } from '../../shared/disposable.ts';
import { createRelay, type Relay, type RelayOptions } from './relay-server.ts';
import { StoreRefusal, type KeyValueStore, type StoreUnsure } from '../store/key-value-store.ts';
import { systemClock } from '../../shared/system-clock.ts';

const TRY_AGAIN_MS = 1000;

export interface ReopeningRelayOptions extends Omit<RelayOptions, 'store' | 'onStoreUnsure'> {
  /** Throws what openRecordStore throws. */
  readonly openStore: () => KeyValueStore;
  readonly log: (line: string) => void;
}

export interface ReopeningRelay extends Relay {
  /** After dispose(). */
  closeStore(): Promise<void>;
}

/** Throws what openStore throws, and StoreRefusal or StoreUnsure if the default room's key cannot be stored. */
export function createReopeningRelay(options: ReopeningRelayOptions): ReopeningRelay {
  let relay: Relay;
  let store: KeyValueStore;
  let retry: Disposable | null = null;
  let disposed = false;
  /** A relay is being made: errors of its store reach the caller that makes it. */
  let opening = false;

  const open = (): void => {
    const opened = options.openStore();
    opening = true;
    try {
      relay = createRelay({ ...options, store: opened, onStoreUnsure: (error) => lost(error) });
      store = opened;
    } catch (error) {
      void opened.close();
      throw error;
    } finally {
      opening = false;
    }
  };
  const lost = (error: StoreUnsure): void => {
    if (opening) return;
    options.log(`${error.message} The relay starts anew with what is stored; running VMs go on and come back to it.`);
    void store.close();
    tryAgain('');
  };
  const tryAgain = (saidBefore: string): void => {
    retry?.dispose();
    retry = (options.clock ?? systemClock).setTimeout(() => {
      try {
        open();
        options.log('The relay is back.');
      } catch (error) {
        const why = error instanceof StoreRefusal ? error.sentence : error instanceof Error ? error.message : String(error);
        if (why !== saidBefore) options.log(`The relay cannot start: ${why} It tries again every second.`);
        if (!disposed) tryAgain(why);
      }
    }, TRY_AGAIN_MS);
  };

  open();
  return {
    get defaultRoomKey() {
      return relay.defaultRoomKey;
    },
    get defaultOwnerSecret() {
      return relay.defaultOwnerSecret;
    },
    owner: (room, secret) => relay.owner(room, secret),
    handleUpgrade: (request, socket, head, address) => relay.handleUpgrade(request, socket, head, address),
    checkKey: (room, key) => relay.checkKey(room, key),
    roomStatus: (room, key) => relay.roomStatus(room, key),
    trace: (room, key) => relay.trace(room, key),
    lastWord: (room, key, word) => relay.lastWord(room, key, word),
    stats: () => relay.stats(),
    connect: (kind, socket, caller) => relay.connect(kind, socket, caller),
    dispose() {
      disposed = true;
      retry?.dispose();
      relay.dispose();
    },
    closeStore: () => store.close(),
  };
}
