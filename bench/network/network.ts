/** The network part of the benchmark: four tables. A measurement that fails says so in its place, and the others go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from '@playwright/test';
import type { ServerProcess } from '../../e2e/harness/server-process.ts';
import { spread, table } from '../statistics.ts';
import { cardLimits } from './card-limit.ts';
import { browserTransfers, switchoverPings, type RoundTrips } from './guest-in-browser.ts';
import { qemuTransfers, qemuVersion } from './qemu.ts';
import { idlePortMemory, relaySpeeds, type RelaySpeed } from './relay.ts';
import type { TransferRates } from './transfer.ts';

const RUNS = 5;
const TRANSFER_MIB = 16;
const MIGRATIONS = 10;
const PORT_STEPS = [100, 500];
const MEGA = 1_000_000;
/** Several times what a busy machine needs for the longest. */
const MEASUREMENT_LIMIT_MS = 20 * 60_000;
const QEMU = 'QEMU TCG, user network, port forward, the same guest';

interface NetworkSizes {
  readonly runs: number;
  readonly transferMib: number;
  readonly migrations: number;
}

/** `quick` shows that everything runs; its figures mean little. */
export async function networkTables(browser: Browser, server: ServerProcess, quick: boolean): Promise<void> {
  const sizes: NetworkSizes = quick ? { runs: 1, transferMib: 2, migrations: 2 } : { runs: RUNS, transferMib: TRANSFER_MIB, migrations: MIGRATIONS };
  console.log(`${await transferTable(browser, server, sizes)}\n`);
  console.log(`${await relayTable(sizes)}\n`);
  console.log(`${await memoryTable()}\n`);
  console.log(`${await pingTable(browser, sizes)}\n`);
}

async function transferTable(browser: Browser, server: ServerProcess, { transferMib, runs }: NetworkSizes): Promise<string> {
  const row = (name: string, { toGuest, fromGuest }: TransferRates): string[] => [name, spread(toGuest, 1), spread(fromGuest, 1)];
  const limits = await measured('the limits of the emulated card', async () => {
    const { frames, guestFrameBytes, tcp } = await cardLimits(transferMib, runs);
    return [
      row(`v86's card alone, frames of ${guestFrameBytes} bytes injected (Node)`, frames),
      row("TCP, gateway directly at v86's card, no relay (Node)", tcp),
    ];
  });
  const whole = await measured('the port forward', async () => [
    row('TCP, port forward, guest in Chromium', await browserTransfers(browser, server, transferMib, runs)),
  ]);
  const version = qemuVersion();
  const qemu =
    version === null
      ? 'not measured: QEMU, because qemu-system-i386 is not installed'
      : await measured('QEMU', async () => [row(`${QEMU} (${version})`, await qemuTransfers(transferMib, runs))]);
  return tableWithGaps([`${transferMib} MiB a transfer`, 'host to guest, MB/s', 'guest to host, MB/s'], [limits, whole, qemu]);
}

async function relayTable({ runs }: NetworkSizes): Promise<string> {
  const row = (name: string, speed: RelaySpeed): string[] => [
    name,
    spread(speed.framesPerSecond),
    spread(speed.megabytesPerSecond, 1),
    spread(speed.p50Ms, 2),
    spread(speed.p99Ms, 2),
  ];
  const rows = await measured('the relay', async () => {
    const { full, single } = await relaySpeeds(runs);
    return [row('1514 bytes, 256 on their way', full), row('98 bytes, one at a time', single)];
  });
  return tableWithGaps(['relay, port to port', 'frames/s', 'MB/s', 'latency p50, ms', 'p99, ms'], [rows]);
}

async function memoryTable(): Promise<string> {
  const rows = await measured('the memory of idle ports', async () => {
    const per100 = (bytes: number, ports: number): string => (((bytes / ports) * 100) / MEGA).toFixed(2);
    return (await idlePortMemory(PORT_STEPS)).map(({ ports, heapBytes, rssBytes }) => [String(ports), per100(heapBytes, ports), per100(rssBytes, ports)]);
  });
  return tableWithGaps(['idle ports', 'heap per 100 ports, MB', 'resident memory per 100 ports, MB'], [rows]);
}

async function pingTable(browser: Browser, { migrations }: NetworkSizes): Promise<string> {
  const rows = await measured('pings over switchovers', async () => {
    const { migrating, resting, slowestMs, pauseMs } = await switchoverPings(browser, migrations);
    const row = (name: string, trips: RoundTrips, slowest: string, pause: string): string[] => [
      name,
      String(trips.pings),
      String(trips.lost),
      trips.p50Ms.toFixed(1),
      trips.p99Ms.toFixed(1),
      trips.maxMs.toFixed(1),
      slowest,
      pause,
    ];
    return [row(`during ${migrations} migrations`, migrating, spread(slowestMs, 1), spread(pauseMs, 1)), row('between them', resting, '', '')];
  });
  return tableWithGaps(
    ["gateway's ping every 10 ms", 'pings', 'lost', 'RTT p50, ms', 'p99, ms', 'maximum, ms', 'slowest of each migration, ms', 'pause, ms'],
    [rows],
  );
}

type Rows = readonly (readonly string[])[];

/** Returns the rows, or a sentence in their place; then the benchmark fails, too. A measurement that hangs is abandoned and ends with the process. */
async function measured(what: string, measure: () => Promise<Rows>): Promise<Rows | string> {
  const limit = new AbortController();
  const tooLate = sleep(MEASUREMENT_LIMIT_MS, undefined, { signal: limit.signal }).then(() => {
    throw new Error(`it did not end within ${MEASUREMENT_LIMIT_MS / 60_000} minutes`);
  });
  try {
    return await Promise.race([measure(), tooLate]);
  } catch (error) {
    process.exitCode = 1;
    return `not measured: ${what}, because of an error: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    // Nobody waits for it any more.
    tooLate.catch(() => undefined);
    limit.abort();
  }
}

function tableWithGaps(head: readonly string[], parts: readonly (Rows | string)[]): string {
  const rows = parts.flatMap((part) => (typeof part === 'string' ? [] : part));
  return [...(rows.length > 0 ? [table(head, rows)] : []), ...parts.filter((part) => typeof part === 'string')].join('\n');
}
