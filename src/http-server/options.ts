/** The server's command line, parsed once into typed values. */
import { hostName } from './host-names.ts';
import { createOutboundPolicy, OutboundRuleError } from '../net-relay/gateway/outbound-policy.ts';
import { OPEN_CODE } from '../net-relay/protocol/relay-protocol.ts';
import { DEFAULT_ROOM } from '../net-relay/protocol/relay-protocol.ts';
import type { RoomName } from '../shared/ids.ts';
import { DEVICE_NAME } from '../net-relay/gateway/tap-station.ts';
import { isRoomName, parsePromisedForward, type PromisedForward } from '../net-relay/gateway/room-gateway.ts';

export interface ServerOptions {
  /** 0 = any free port; the ready line names the real one. */
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  /** Host names that it accepts besides `host` and loopback's, e.g. a proxy's. */
  readonly allowedHosts: readonly string[];
  /** Origins whose pages may open sockets, besides this server's own. */
  readonly allowedOrigins: readonly string[];
  /** A proxy on this machine names the caller in the last entry of X-Forwarded-For. */
  readonly behindProxy: boolean;
  /** The server is on the open network: others may do less there than on a home network. */
  readonly public: boolean;
  /** The code that opens a new room; null: a public server makes one, any other asks for none. */
  readonly openCode: string | null;
  /** Interval of the gateway's ping to every guest, in milliseconds. */
  readonly pingMs: number;
  /** Where a finished guest set is downloaded from; null = built here. */
  readonly guestUrl: string | null;
  readonly forwards: readonly PromisedForward[];
  /** What guests may reach outside: null = nothing, [] = the Internet, otherwise what these rules open (outbound-policy.ts). */
  readonly outbound: readonly string[] | null;
  /** Rooms whose guests may reach that. */
  readonly outboundRooms: readonly RoomName[] | 'all';
  /** Name of a TAP device to make on the default room's network, or null. */
  readonly tap: string | null;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Serve the page from its sources, with reload on change. */
  readonly dev: boolean;
  /** Where keys of rooms and leases of VMs are kept. */
  readonly dataDir: string;
  /** If the records there are damaged, the server may move them aside and start without any. */
  readonly moveDamagedStoreAside: boolean;
  /** What the server prints on the terminal. */
  readonly log: LogLevel;
  /** The key with which other machines may read /metrics; null: no other machine may. */
  readonly operatorKey: string | null;
}

/** `error`: the server's own problems; `info`: also problems that others cause; `trace`: also each step of rooms, leases and ports. */
type LogLevel = (typeof LOG_LEVELS)[number];
const LOG_LEVELS = ['error', 'info', 'trace'] as const;

export type ParsedOptions = { readonly kind: 'help' } | { readonly kind: 'run'; readonly options: ServerOptions };

/** A command line that cannot be followed; the message is for the person who typed it. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

export const DEFAULT_PORT = 8686;
const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PING_MS = 100;
/** Below this the pings themselves would load a room of many VMs (each is two frames through the switch). */
const MIN_PING_MS = 5;
/** An interval of more than a minute shows nothing. */
const MAX_PING_MS = 60_000;
const DEFAULT_DATA_DIR = '.cache/server';

export const HELP = `TabMotion: live migration of a running PC between browser tabs

  npm start -- [options]

  --port N                  TCP and UDP port (default ${DEFAULT_PORT}; 0 = any free one)
  --host ADDRESS            address to listen on (default ${DEFAULT_HOST}: this machine only;
                            0.0.0.0 = every network this machine is in)
  --allowed-host NAME       a name under which browsers reach this server, besides localhost, addresses and --host;
                            may be given several times, and is needed behind a proxy
  --allowed-origin ORIGIN   a page of this origin, such as https://tabmotion.example, may open sockets too: for a proxy
                            that does not pass on the name in the address; may be given several times
  --behind-proxy            a proxy on this machine stands in front and sets X-Forwarded-For, so that limits of an
                            address are its visitors'
  --public                  for a server on the open network: needs --tls or --behind-proxy, asks for a code before a
                            new room is opened, and says what is open
  --open-code CODE          the code that opens new rooms, 6 to 64 letters, digits, _ or - (with --public, one that
                            follows from the default room's key if none is given)
  --tls CERT KEY            serve https with this certificate and key (PEM files)
  --guest-url URL           use the finished guest set found at URL instead of building one
                            (or the environment variable TABMOTION_GUEST_URL)
  --forward HOST:[ROOM/]VM:GUEST
                            lead port HOST of this machine to port GUEST of the VM with this name or id, of the
                            default room unless ROOM says otherwise; may be given several times (ports 22 and 80 of
                            every VM are forwarded anyway)
  --outbound                let the default room's guests open connections to the Internet
  --outbound-to RULES       the same, but only where these rules allow it, e.g. *:443,udp:192.0.2.7:53,host:8080
                            ([tcp:|udp:]TARGET[:PORT[-PORT]]; TARGET is *, an address, a network, or "host",
                            which is this machine). Private networks need a rule that names them or a part of them,
                            cloud metadata and this machine's addresses one that names the very address
  --outbound-rooms ROOMS    rooms whose guests --outbound and --outbound-to let out, e.g. default,seminar; * is every
                            room, those of strangers too (default: the default room alone)
  --tap NAME                join this machine to the default room's network by a TAP device of this name
                            (Linux, root; address 10.86.0.254)
  --ping-ms N               beat of the ping to every guest in milliseconds (default ${DEFAULT_PING_MS})
  --data DIR                where room keys and leases are kept (default ${DEFAULT_DATA_DIR})
  --move-damaged-store-aside
                            if the records in the data directory are damaged, begin without them
  --log LEVEL               what is said here: error (the server's own troubles), info (those that others cause, too;
                            the default), trace (each step of rooms, leases and ports as well)
  --operator-key KEY        shows the figures at /metrics to whoever sends this key, 16 to 64 letters, digits, _ or -
                            (or the environment variable TABMOTION_OPERATOR_KEY); without it to this machine alone
  --dev                     serve the page from its sources, for work on it
  --help                    this text
`;

/** The options read so far. */
type Draft = { -readonly [K in keyof Omit<ServerOptions, 'outboundRooms'>]: ServerOptions[K] } & { outboundRooms: ServerOptions['outboundRooms'] | null };

/** What each option does to the draft. */
const OPTIONS: Readonly<Record<string, (draft: Draft, word: Word, words: Words) => void>> = {
  '--port': (draft, word, words) => void (draft.port = integer(word.name, words.value(word), 0, 65_535)),
  '--host': (draft, word, words) => void (draft.host = nonEmpty(word.name, words.value(word))),
  '--allowed-host': (draft, word, words) => void (draft.allowedHosts = [...draft.allowedHosts, allowedHost(words.value(word))]),
  '--allowed-origin': (draft, word, words) => void (draft.allowedOrigins = [...draft.allowedOrigins, allowedOrigin(words.value(word))]),
  '--behind-proxy': (draft, word, words) => void (draft.behindProxy = words.isGiven(word)),
  '--public': (draft, word, words) => void (draft.public = words.isGiven(word)),
  '--open-code': (draft, word, words) => void (draft.openCode = codeForRooms(words.value(word))),
  '--ping-ms': (draft, word, words) => void (draft.pingMs = integer(word.name, words.value(word), MIN_PING_MS, MAX_PING_MS)),
  '--guest-url': (draft, word, words) => void (draft.guestUrl = webAddress(word.name, words.value(word))),
  '--forward': (draft, word, words) => void (draft.forwards = [...draft.forwards, forward(words.value(word))]),
  '--outbound': (draft, word, words) => {
    words.isGiven(word);
    draft.outbound ??= [];
  },
  '--outbound-to': (draft, word, words) => void (draft.outbound = outboundRules(words.value(word))),
  '--outbound-rooms': (draft, word, words) => void (draft.outboundRooms = rooms(words.value(word))),
  '--tap': (draft, word, words) => void (draft.tap = deviceName(words.value(word))),
  '--tls': (draft, word, words) => void (draft.tls = { certFile: words.value(word), keyFile: words.further(word, 'the key file') }),
  '--dev': (draft, word, words) => void (draft.dev = words.isGiven(word)),
  '--data': (draft, word, words) => void (draft.dataDir = nonEmpty(word.name, words.value(word))),
  '--operator-key': (draft, word, words) => void (draft.operatorKey = operatorKey(word.name, words.value(word))),
  '--log': (draft, word, words) => void (draft.log = logLevel(words.value(word))),
  '--move-damaged-store-aside': (draft, word, words) => void (draft.moveDamagedStoreAside = words.isGiven(word)),
};

/**
 * Parses the arguments after the program's name. Throws OptionError with a sentence for anything unknown, missing or
 * out of range.
 */
export function parseOptions(args: readonly string[], environment: Readonly<Record<string, string | undefined>> = {}): ParsedOptions {
  const guestUrl = environment['TABMOTION_GUEST_URL'] ?? '';
  const keyInEnvironment = environment['TABMOTION_OPERATOR_KEY'] ?? '';
  const draft: Draft = {
    port: DEFAULT_PORT,
    host: DEFAULT_HOST,
    allowedHosts: [],
    allowedOrigins: [],
    behindProxy: false,
    public: false,
    openCode: null,
    pingMs: DEFAULT_PING_MS,
    guestUrl: guestUrl === '' ? null : webAddress('TABMOTION_GUEST_URL', guestUrl),
    forwards: [],
    outbound: null,
    outboundRooms: null,
    tap: null,
    tls: null,
    dev: false,
    dataDir: DEFAULT_DATA_DIR,
    moveDamagedStoreAside: false,
    log: 'info',
    operatorKey: keyInEnvironment === '' ? null : operatorKey('TABMOTION_OPERATOR_KEY', keyInEnvironment),
  };
  const words = new Words(args);
  for (let word = words.next(); word !== null; word = words.next()) {
    if (word.name === '--help' || word.name === '-h') return { kind: 'help' };
    const take = Object.hasOwn(OPTIONS, word.name) ? OPTIONS[word.name] : undefined;
    if (take === undefined) throw new OptionError(`There is no option ${JSON.stringify(word.name)}. \`npm start -- --help\` lists them all.`);
    take(draft, word, words);
  }
  return { kind: 'run', options: checked(draft) };
}

/** Refuses options that do not go together. */
function checked(draft: Draft): ServerOptions {
  const { forwards, outbound, outboundRooms, tls, behindProxy } = draft;
  const doubled = forwards.find((one, at) => one.hostPort !== 0 && forwards.findIndex((other) => other.hostPort === one.hostPort) !== at);
  if (doubled !== undefined) throw new OptionError(`--forward names port ${doubled.hostPort} of this machine twice; each port can lead to one VM only.`);
  if (outboundRooms !== null && outbound === null)
    throw new OptionError('--outbound-rooms needs --outbound or --outbound-to beside it: nothing goes out otherwise.');
  if (draft.public && tls === null && !behindProxy)
    throw new OptionError(
      '--public needs --tls CERT KEY, or --behind-proxy with a proxy that has the certificate: over plain http keys and everything the VMs send can be read on the way.',
    );
  return { ...draft, outboundRooms: outboundRooms ?? [DEFAULT_ROOM] };
}

interface Word {
  readonly name: string;
  /** The part after `=`, if the word had one. */
  readonly attached: string | null;
}

class Words {
  private readonly rest: string[];

  constructor(args: readonly string[]) {
    this.rest = [...args];
  }

  next(): Word | null {
    const text = this.rest.shift();
    if (text === undefined) return null;
    const equals = text.startsWith('--') ? text.indexOf('=') : -1;
    return equals < 0 ? { name: text, attached: null } : { name: text.slice(0, equals), attached: text.slice(equals + 1) };
  }

  value(word: Word): string {
    return word.attached ?? this.further(word, 'a value');
  }

  further(word: Word, what: string): string {
    const text = this.rest[0];
    if (text === undefined || text.startsWith('--')) throw new OptionError(`${word.name} needs ${what} after it.`);
    this.rest.shift();
    return text;
  }

  /** Of an option that takes no value. */
  isGiven(word: Word): true {
    if (word.attached !== null) throw new OptionError(`${word.name} takes no value.`);
    return true;
  }
}

function integer(name: string, text: string, lowest: number, highest: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= lowest && value <= highest)) {
    throw new OptionError(`${name} takes a whole number from ${lowest} to ${highest}, not ${JSON.stringify(text)}.`);
  }
  return value;
}

function nonEmpty(name: string, text: string): string {
  if (text.trim() === '') throw new OptionError(`${name} needs a value that is not empty.`);
  return text;
}

function codeForRooms(text: string): string {
  if (!OPEN_CODE.test(text)) throw new OptionError('--open-code takes 6 to 64 letters, digits, _ or -.');
  return text;
}

function operatorKey(name: string, text: string): string {
  if (!/^[A-Za-z0-9_-]{16,64}$/.test(text)) throw new OptionError(`${name} takes 16 to 64 letters, digits, _ or -.`);
  return text;
}

function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) throw new OptionError(`--log takes ${LOG_LEVELS.join(', ')}, not ${JSON.stringify(text)}.`);
  return level;
}

function allowedHost(text: string): string {
  const name = hostName(text);
  if (name === null) throw new OptionError(`--allowed-host takes a host's name alone, such as tabmotion.example, not ${JSON.stringify(text)}.`);
  return name;
}

function allowedOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.origin !== text.toLowerCase())
    throw new OptionError(`--allowed-origin takes the beginning of an address alone, such as https://tabmotion.example, not ${JSON.stringify(text)}.`);
  return url.origin;
}

function deviceName(text: string): string {
  if (!DEVICE_NAME.test(text)) throw new OptionError(`--tap takes a name for a network device, 1 to 15 letters, digits, _ or -, not ${JSON.stringify(text)}.`);
  return text;
}

function webAddress(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new OptionError(`${name} takes an address that begins with http:// or https://, not ${JSON.stringify(text)}.`);
  }
  return text;
}

/** `*`, or names with commas between them. */
function rooms(text: string): readonly RoomName[] | 'all' {
  if (text.trim() === '*') return 'all';
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !isRoomName(name));
  if (wrong !== undefined) throw new OptionError(`--outbound-rooms takes names of rooms with commas between them, or *, not ${JSON.stringify(wrong)}.`);
  return names.filter(isRoomName);
}

function forward(text: string): PromisedForward {
  try {
    return parsePromisedForward(text);
  } catch (error) {
    throw new OptionError(`--forward: ${sentence(error)}`);
  }
}

function outboundRules(text: string): string[] {
  const rules = text.split(',').map((rule) => rule.trim());
  try {
    createOutboundPolicy(rules, 0, 0);
    return rules;
  } catch (error) {
    if (error instanceof OutboundRuleError) throw new OptionError(`--outbound-to: ${sentence(error)}`);
    throw error;
  }
}

function sentence(error: unknown): string {
  return `${error instanceof Error ? error.message : String(error)}.`;
}
