/** The server: one process, one port (DESIGN: page, guest files, signalling, relay, STUN). Nothing imports this file. */
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { RequestHandler } from 'express';
import { ensureGuest, GuestError } from '../guest/ensure-guest.ts';
import { Arrivals } from './http-server/arrivals.ts';
import { buildPage } from './http-server/build-page.ts';
import { displayHost, exposureNotice, origin, outsideAddresses, outsideOrigins } from './http-server/addresses.ts';
import { openCodeFor, publicNotice } from './http-server/public-notice.ts';
import { metrics } from './http-server/metrics.ts';
import { callersOf } from './http-server/caller-address.ts';
import { CaptureDownloads } from './http-server/capture-downloads.ts';
import { claimDataDirectory, DataDirectoryError } from './http-server/data-directory.ts';
import { developmentPage } from './http-server/development-page.ts';
import { ListenError } from './http-server/listen-error.ts';
import { listen, type Listener } from './http-server/listener.ts';
import { giveMemoryBack } from './http-server/memory-rest.ts';
import { HELP, OptionError, parseOptions, type ServerOptions } from './http-server/options.ts';
import { surviveOwnErrors, type OwnError } from './http-server/own-errors.ts';
import { pageFiles } from './http-server/page-files.ts';
import { watchParent } from './http-server/parent-watch.ts';
import { openRelayRecords } from './http-server/relay-records.ts';
import { createRoutes, type RoutesParts } from './http-server/routes.ts';
import { createSignalling } from './http-server/signalling.ts';
import { sentenceForSystemError } from './http-server/start-error.ts';
import { startStunResponder } from './http-server/stun-responder.ts';
import { createTerminalLog, printable } from './http-server/terminal-log.ts';
import { dispatchUpgrades, refuseUpgrade } from './http-server/upgrades.ts';
import { Counters } from './shared/counters.ts';
import { RoomGateways } from './net-relay/gateway/room-gateway.ts';
import { plugTap } from './net-relay/gateway/room-stations.ts';
import { LAN_PREFIX_LENGTH, TAP_IP, type OpenGateway } from './net-relay/lan/lan.ts';
import { DEFAULT_LIMITS, PUBLIC_LIMITS } from './net-relay/limits/server-limits.ts';
import { KeyTries } from './net-relay/server/key-tries.ts';
import { allowOrigins } from './net-relay/server/origins.ts';
import type { Relay } from './net-relay/server/relay-server.ts';
import { createReopeningRelay } from './net-relay/server/reopening-relay.ts';
import { DEFAULT_ROOM } from './net-relay/protocol/relay-protocol.ts';
import { StoreRefusal, type KeyValueStore } from './net-relay/store/key-value-store.ts';
import { systemClock } from './shared/system-clock.ts';
import type { TraceEntry } from './shared/trace.ts';
import { disposable, DisposableBag } from './shared/disposable.ts';
import type { RoomName } from './shared/ids.ts';

/** A shutdown that takes longer than this is cut short, so that Ctrl-C never seems to hang. */
const SHUTDOWN_LIMIT_MS = 1500;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

const say = (line: string): void => console.log(line);
const complain = (line: string): void => console.error(line);
/** For messages that others can cause. */
const log = createTerminalLog(complain, systemClock);
const silent = (): void => undefined;
const ownErrors = new Counters<OwnError>();

async function run(options: ServerOptions): Promise<void> {
  const open = new DisposableBag();
  const arrivals = new Arrivals(systemClock);
  /** Logs problems that others cause. */
  const about = (topic: string): ((line: string) => void) => (options.log === 'error' ? silent : log.about(topic));
  const tls = options.tls === null ? null : { cert: await pemFile(options.tls.certFile), key: await pemFile(options.tls.keyFile) };
  // Port, data directory and records come first: problems with them should show before the guest is built, which takes a minute.
  const listener = await listen({ host: options.host, port: options.port, tls, allowedHosts: options.allowedHosts, arrivals, log: about('connections') });
  open.add(log);
  const closing: Closing = { last: [] };
  const stopping = stopOnSignal(open, listener, closing);
  open.add(await claimDataDirectory(options.dataDir));
  const openStore = recordsOf(options);
  open.add(
    await startStunResponder(listener.port, options.host).catch((error: unknown) => {
      complain(`UDP port ${listener.port} cannot be opened (${String(error)}): browsers in different subnets will use the relay instead of a direct link.`);
      return disposable(() => undefined);
    }),
  );
  const guest = await ensureGuest({ onProgress: say, guestUrl: options.guestUrl });
  const page = options.dev ? await developmentPage(ROOT) : await builtPage();
  open.add(disposable(() => page.dispose()));
  open.add(giveMemoryBack(systemClock));
  if (stopping.aborted) return;

  const gateways = gatewaysOf(options, about('gateways'));
  const callerOf = callersOf(options.behindProxy);
  const allowsOrigin = allowOrigins(options.allowedOrigins);
  const tries = new KeyTries(systemClock);
  const openGateway = options.tap === null ? gateways.open : withTap(gateways.open, options.tap);
  const relay = open.add(createReopeningRelay({ openStore, openGateway, tries, allowsOrigin, log: complain, ...relayOptionsOf(options) }));
  closing.last.push(() => relay.closeStore());
  for (const record of relay.stats().unreadable) complain(printable(`A record of ${options.dataDir} cannot be understood and was left alone: ${record}`));
  const signallingTrouble = about('signalling');
  const signalling = createSignalling((error) => signallingTrouble(`Signalling: ${error.message}`), callerOf, allowsOrigin);
  const requestLog = log.about('requests');
  const failed = (what: 'failed-request' | 'failed-upgrade') => (error: unknown) => {
    ownErrors.add(what);
    requestLog(error instanceof Error ? (error.stack ?? error.message) : String(error));
  };
  const downloads = new CaptureDownloads(systemClock);
  const figures = () => ({
    ...relay.stats(),
    signalling: signalling.figures(),
    downloads: downloads.figures(),
    connections: { refusals: arrivals.refusals.toJSON() },
    ownErrors: ownErrors.toJSON(),
  });
  // Asked again each time: a laptop may change networks.
  const addresses = (): string[] => outsideOrigins(options.host, listener.port, tls !== null, outsideAddresses(networkInterfaces()));
  listener.serve(
    createRoutes({
      secure: tls !== null,
      guest,
      rooms: roomsOf(relay, gateways, addresses, figures),
      tries,
      callerOf,
      downloads,
      metrics: metrics({ operatorKey: options.operatorKey, figures }),
      signalling: signalling.routes,
      page: page.handler,
      onError: failed('failed-request'),
    }),
  );
  dispatchUpgrades(listener.server, listener.allowsHost, failed('failed-upgrade'), {
    '/peerjs': signalling.upgrade,
    '/relay': (request, socket, head) => {
      if (!relay.handleUpgrade(request, socket, head, callerOf(request))) refuseUpgrade(socket, 404);
    },
    ...page.upgrades,
  });
  announce(options, listener.port, relay);
}

function relayOptionsOf({ public: isPublic, openCode, log: level }: ServerOptions) {
  const trouble = log.about('the relay');
  return {
    onTrouble: (error: unknown) =>
      trouble(`The relay met an error of its own and goes on. Please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    limits: isPublic ? PUBLIC_LIMITS : DEFAULT_LIMITS,
    openCode: (defaultRoomKey: string) => openCodeFor({ isPublic, openCode }, defaultRoomKey),
    ...(level === 'trace' ? { onStep: sayStep } : {}),
  };
}

/** Opens the records at once; throws if they cannot be read. The first call of the returned function gives these; each later call opens them again. */
function recordsOf({ dataDir, moveDamagedStoreAside }: ServerOptions): () => KeyValueStore {
  let records: KeyValueStore | null = openRelayRecords(dataDir, { moveDamagedAside: moveDamagedStoreAside, say: complain });
  return () => {
    const opened = records ?? openRelayRecords(dataDir, { moveDamagedAside: false, say: complain });
    records = null;
    return opened;
  };
}

function gatewaysOf({ pingMs, forwards, outbound, outboundRooms, tap }: ServerOptions, said: (line: string) => void): RoomGateways {
  return new RoomGateways({
    clock: systemClock,
    pingMs,
    forwards,
    outbound,
    outboundRooms,
    // Always only this machine, whoever may load the page: the network must not reach a guest's ports.
    forwardAddress: '127.0.0.1',
    learnNeighbours: (room) => tap !== null && room === DEFAULT_ROOM,
    log: said,
  });
}

/** Prints a step of a room as it happens, for people who watch with --log trace; the number of steps is not limited. */
function sayStep(room: RoomName, { subject, step }: TraceEntry): void {
  say(printable(`${new Date().toISOString()} ${room}: ${subject}: ${step}`));
}

/** Who can reach the server, and the line that says it is ready. */
function announce(options: ServerOptions, port: number, relay: Relay): void {
  const { host, behindProxy } = options;
  const secure = options.tls !== null;
  const roomPath = `/#${relay.defaultRoomKey}`;
  const ownerPath = `${roomPath}&owner=${relay.defaultOwnerSecret}`;
  for (const line of exposureNotice({ host, port, secure, behindProxy }, { roomPath, ownerPath }, outsideAddresses(networkInterfaces()))) say(line);
  if (options.public)
    for (const line of publicNotice({
      ...options,
      forwards: options.forwards.length,
      openCode: openCodeFor({ isPublic: true, openCode: options.openCode }, relay.defaultRoomKey),
    }))
      say(line);
  say(`TabMotion is ready: ${origin(secure, displayHost(host), port)}${roomPath}`);
}

/** The rooms as the API reads and changes them. */
function roomsOf(relay: Relay, gateways: RoomGateways, addresses: () => readonly string[], figures: () => object): RoutesParts['rooms'] {
  return {
    describe: (name, key) => {
      const status = relay.roomStatus(name, key);
      return status === null ? null : { ...status, gateway: gateways.of(name as RoomName)?.gateway.stats() };
    },
    controls: (name, key) => (relay.checkKey(name, key) ? (gateways.of(name as RoomName) ?? 'empty') : null),
    trace: (name, key) => relay.trace(name, key),
    lastWord: (name, key, word) => relay.lastWord(name, key, word),
    owner: (name, secret) => relay.owner(name, secret),
    keyChanged: (name) => {
      if (name === DEFAULT_ROOM) say(`The owner of the default room has changed its key. The room is at /#${relay.defaultRoomKey} now.`);
    },
    addresses,
    figures: (key) => (relay.checkKey(DEFAULT_ROOM, key) ? figures() : null),
  };
}

/** The default room's network with this machine on it, for as long as the room is open. */
function withTap(open: OpenGateway, device: string): OpenGateway {
  return (lan) => {
    const gateway = open(lan);
    if (lan.room !== DEFAULT_ROOM) return gateway;
    const tap = plugTap(lan, {
      device,
      address: `${TAP_IP}/${LAN_PREFIX_LENGTH}`,
      spawn: process.getuid?.() === 0,
      onCommand: (command) => say(`To join this machine to the default room's network, run: sudo ${command.join(' ')}`),
      log: complain,
    });
    return {
      dispose() {
        tap.dispose();
        gateway.dispose();
      },
    };
  };
}

interface Page {
  readonly handler: RequestHandler;
  readonly upgrades: Parameters<typeof dispatchUpgrades>[3];
  dispose(): void;
}

async function builtPage(): Promise<Page> {
  const { directory } = await buildPage({ testBuild: process.env['TABMOTION_TEST_BUILD'] === '1', onProgress: say });
  return { handler: pageFiles(directory), upgrades: {}, dispose: () => undefined };
}

async function pemFile(path: string): Promise<Buffer> {
  return readFile(path).catch((error: unknown) => {
    throw new OptionError(`--tls: ${path} cannot be read (${error instanceof Error ? error.message : String(error)}).`);
  });
}

/** What must be closed last, and waited for. */
interface Closing {
  readonly last: (() => Promise<void>)[];
}

/** The first signal closes everything and ends with status 0; a second one ends at once. */
function stopOnSignal(open: DisposableBag, listener: Listener, closing: Closing): AbortSignal {
  const stopping = new AbortController();
  const stop = (): void => {
    if (stopping.signal.aborted) process.exit(130);
    stopping.abort();
    say('Stopping.');
    setTimeout(() => process.exit(0), SHUTDOWN_LIMIT_MS).unref();
    open.dispose();
    // PeerServer has timers that cannot be stopped, so the process exits explicitly instead of waiting for them to end.
    void listener
      .close()
      .then(() => Promise.all(closing.last.map((close) => close())))
      .finally(() => process.exit(0));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  // Only when run by npm: a server that somebody starts in the background is meant to outlive its shell.
  if (process.env['npm_lifecycle_event'] !== undefined) open.add(watchParent(stop));
  return stopping.signal;
}

surviveOwnErrors(process, log.about('errors of its own'), ownErrors);
try {
  const parsed = parseOptions(process.argv.slice(2), process.env);
  if (parsed.kind === 'help') say(HELP);
  else await run(parsed.options);
} catch (error) {
  const expected =
    error instanceof OptionError ||
    error instanceof ListenError ||
    error instanceof DataDirectoryError ||
    error instanceof GuestError ||
    error instanceof StoreRefusal;
  const sentence = error instanceof StoreRefusal ? error.sentence : expected ? error.message : sentenceForSystemError(error);
  complain(sentence ?? (error instanceof Error ? (error.stack ?? error.message) : String(error)));
  process.exit(sentence === null ? 1 : 2);
}
