import { MAX_NAME_CHARACTERS, MAX_PAYLOAD_DEPTH, MAX_PAYLOAD_VALUES } from './signalling-limits.ts';

const NAME = new RegExp(`^[A-Za-z0-9_-]{1,${MAX_NAME_CHARACTERS}}$`);
/** What a PeerJS client sends to another one. LEAVE and EXPIRE are the server's own words. */
const PASSED_ON: readonly unknown[] = ['OFFER', 'ANSWER', 'CANDIDATE'];

export interface SignallingMessage {
  /** Whom it is for; null: the server itself (a heartbeat). */
  readonly to: string | null;
}

/** Reads what a PeerJS client sent; null if it is none of its messages. */
export function readSignallingMessage(text: string): SignallingMessage | null {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof message !== 'object' || message === null || !isSmall(message)) return null;
  const { type, dst } = message as { type?: unknown; dst?: unknown };
  if (type === 'HEARTBEAT') return { to: null };
  return PASSED_ON.includes(type) && typeof dst === 'string' && NAME.test(dst) ? { to: dst } : null;
}

export interface SignallingName {
  readonly id: string;
  readonly token: string;
}

/** The id and token that a socket claims in its URL; null if they are not valid. */
export function readSignallingName(url: string): SignallingName | null {
  if (!URL.canParse(url, 'http://signalling')) return null;
  // As peer does it: if a parameter is given twice, the last one counts.
  const { id, token } = Object.fromEntries(new URL(url, 'http://signalling').searchParams.entries());
  return id !== undefined && token !== undefined && NAME.test(id) && NAME.test(token) ? { id, token } : null;
}

function isSmall(message: object): boolean {
  let values = 0;
  const walk = (value: unknown, depth: number): boolean => {
    values += 1;
    if (values > MAX_PAYLOAD_VALUES) return false;
    if (typeof value !== 'object' || value === null) return true;
    return depth > 0 && Object.values(value).every((inner) => walk(inner, depth - 1));
  };
  return walk(message, MAX_PAYLOAD_DEPTH);
}
