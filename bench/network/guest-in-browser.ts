/** The whole path: a program on this machine, a port forward, the gateway, the relay, a tab of a real Chromium, the guest. */
import type { Browser } from '@playwright/test';
import { HostPage } from '../../e2e/harness/host-page.ts';
import { pollFor } from '../../e2e/harness/poll-for.ts';
import { newRoom } from '../../e2e/harness/room.ts';
import { startServer, type ServerProcess } from '../../e2e/harness/server-process.ts';
import { percentile } from '../statistics.ts';
import { serveCommand, SINK_PORT, SOURCE_PORT, transferRates, type TransferRates } from './transfer.ts';

/** A guest of a busy machine fills its data file slowly. */
const PREPARE_LIMIT_MS = 180_000;
const PING_MS = 10;
/** Pings of the guest at rest, for comparison, and after each switchover until it has settled. */
const REST_MS = 1500;
/** The gateway gives a ping up after 5 s. */
const LOST_AFTER_MS = 6000;

export async function browserTransfers(browser: Browser, server: ServerProcess, mebibytes: number, runs: number): Promise<TransferRates> {
  const context = await browser.newContext();
  try {
    const tab = new HostPage(await context.newPage(), 'the tab');
    await tab.open(newRoom().address(server.origin));
    const { id } = await tab.runningVm();
    await tab.waitForPrompt(id);
    await tab.run(id, serveCommand(mebibytes), PREPARE_LIMIT_MS);
    const forward = (guestPort: number): Promise<number> =>
      tab.page.evaluate(async ([vm, port]) => (await window.tabmotion.addForward(vm, port)).hostPort, [id, guestPort] as const);
    return await transferRates({ sink: await forward(SINK_PORT), source: await forward(SOURCE_PORT) }, mebibytes, runs);
  } finally {
    await context.close();
  }
}

export interface RoundTrips {
  readonly pings: number;
  readonly lost: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface SwitchoverPings {
  /** Pings that were sent or answered while a migration went on. */
  readonly migrating: RoundTrips;
  /** All others. */
  readonly resting: RoundTrips;
  /** The slowest answered ping of each migration. */
  readonly slowestMs: readonly number[];
  readonly pauseMs: readonly number[];
}

/** The gateway's pings every 10 ms, seen by a tab while the guest moves back and forth between two tabs. */
export async function switchoverPings(browser: Browser, migrations: number): Promise<SwitchoverPings> {
  const server = await startServer({ args: ['--ping-ms', String(PING_MS)] });
  try {
    const context = await browser.newContext();
    try {
      const room = newRoom();
      const [a, b] = [new HostPage(await context.newPage(), 'tab A'), new HostPage(await context.newPage(), 'tab B')];
      await a.open(room.address(server.origin));
      const { id } = await a.runningVm();
      await a.waitForPrompt(id);
      await b.open(room.address(server.origin));
      await b.waitForGuest();
      await a.waitForHosts(2);
      await observePings(b, id);
      await pollFor('pings to be answered', async () => (await samplesOf(b)).filter((ping) => ping.rttMs !== null).length > 20);

      const spans: Span[] = [];
      const pauseMs: number[] = [];
      for (let move = 0; move < migrations; move++) {
        // Waits before each move, so that it starts with a settled guest.
        await a.page.waitForTimeout(REST_MS);
        const [from, to] = move % 2 === 0 ? [a, b] : [b, a];
        const target = await to.id();
        const begin = await clockOf(b);
        const report = await from.migrate(id, target, { maxPauseMs: 100 });
        if (report.outcome !== 'completed') throw new Error(`Migration ${move + 1} ended as ${report.outcome}: ${report.reason ?? 'no reason given'}`);
        spans.push({ begin, end: await clockOf(b) });
        pauseMs.push(report.pauseMs);
      }
      await a.page.waitForTimeout(LOST_AFTER_MS);
      return { ...sortPings(await samplesOf(b), spans), pauseMs };
    } finally {
      await context.close();
    }
  } finally {
    await server.stop();
  }
}

export interface PingSample {
  /** When the tab heard of it. */
  readonly at: number;
  /** Null: lost. */
  readonly rttMs: number | null;
}

export interface Span {
  readonly begin: number;
  readonly end: number;
}

/** A lost ping counts as under way for as long as the gateway waited for it. */
export function sortPings(samples: readonly PingSample[], spans: readonly Span[]): Omit<SwitchoverPings, 'pauseMs'> {
  const meets = ({ at, rttMs }: PingSample, { begin, end }: Span): boolean => at >= begin && at - (rttMs ?? LOST_AFTER_MS) <= end;
  const moving = samples.filter((ping) => spans.some((span) => meets(ping, span)));
  return {
    migrating: roundTrips(moving),
    resting: roundTrips(samples.filter((ping) => !moving.includes(ping))),
    slowestMs: spans.flatMap((span) => {
      const { pings, lost, maxMs } = roundTrips(moving.filter((ping) => meets(ping, span)));
      return pings > lost ? [maxMs] : [];
    }),
  };
}

function roundTrips(samples: readonly PingSample[]): RoundTrips {
  const answered = samples.flatMap(({ rttMs }) => (rttMs === null ? [] : [rttMs]));
  return {
    pings: samples.length,
    lost: samples.length - answered.length,
    p50Ms: percentile(answered, 50),
    p99Ms: percentile(answered, 99),
    maxMs: percentile(answered, 100),
  };
}

interface PingStore {
  pings: PingSample[];
}

async function observePings(tab: HostPage, vmId: string): Promise<void> {
  await tab.page.evaluate((id) => {
    const store = window as unknown as PingStore;
    store.pings = [];
    window.tabmotion.on('ping', ({ vmId: of, rttMs }) => {
      if (of === id) store.pings.push({ at: performance.now(), rttMs });
    });
  }, vmId);
}

const samplesOf = (tab: HostPage): Promise<PingSample[]> => tab.page.evaluate(() => (window as unknown as PingStore).pings);
const clockOf = (tab: HostPage): Promise<number> => tab.page.evaluate(() => performance.now());
