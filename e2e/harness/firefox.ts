/**
 * The distribution's Firefox, driven over WebDriver BiDi (https://w3c.github.io/webdriver-bidi/): JSON over one WebSocket,
 * of which the tests need seven commands. Playwright drives only a Firefox of its own build.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './find-program.ts';
import { BidiConnection } from './bidi-connection.ts';
import { pollFor } from './poll-for.ts';
import { ScriptedTab, type PageScript } from './scripted-tab.ts';

/** A first start makes a profile, on a busy machine. */
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 5_000;
/** None of them changes what a page can do: they keep the browser from contacting anybody but our server. */
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.disabledForTesting': true,
  'browser.newtabpage.enabled': false,
  'browser.startup.page': 0,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
} as const;

export interface Firefox {
  /** Opens the address in a tab of its own and waits until it has joined its room. */
  openHost(address: string, label: string): Promise<FirefoxTab>;
  close(): Promise<void>;
}

/** Why no Firefox can be started here, or null if one can. */
export function firefoxObstacle(): string | null {
  return findFirefox() === null ? 'Firefox is not installed (Debian: firefox-esr; or set FIREFOX_PATH)' : null;
}

function findFirefox(): string | null {
  return findProgram({
    variable: 'FIREFOX_PATH',
    names: ['firefox-esr', 'firefox'],
    places: ['/usr/bin/firefox-esr', '/Applications/Firefox.app/Contents/MacOS/firefox'],
  });
}

/** A Firefox without a window, with its own profile, which is deleted when the browser closes. */
export async function launchFirefox(): Promise<Firefox> {
  const program = findFirefox();
  if (program === null) throw new Error(firefoxObstacle() ?? '');
  const profile = await mkdtemp(join(tmpdir(), 'tabmotion-firefox-'));
  await writeFile(
    join(profile, 'user.js'),
    Object.entries(PREFERENCES)
      .map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`)
      .join(''),
  );
  // Its own process group, so that its content processes end with it.
  const child = spawn(program, ['--headless', '--no-remote', '--remote-debugging-port', '0', '--profile', profile, 'about:blank'], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const close = async (): Promise<void> => {
    await stop(child);
    await rm(profile, { recursive: true, force: true });
  };
  try {
    const address = await pollFor(
      'Firefox to listen',
      () => {
        if (child.exitCode !== null) throw new Error(`Firefox ended with status ${child.exitCode}`);
        return /WebDriver BiDi listening on (ws:\S+)/.exec(output)?.[1];
      },
      START_LIMIT_MS,
    );
    const connection = await BidiConnection.open(`${address}/session`);
    await connection.send('session.new', { capabilities: {} });
    await connection.send('session.subscribe', { events: ['log.entryAdded'] });
    return {
      async openHost(location, label) {
        const { context } = (await connection.send('browsingContext.create', { type: 'tab' })) as { context: string };
        const tab = new FirefoxTab(connection, context, label);
        await connection.send('browsingContext.navigate', { context, url: location, wait: 'complete' });
        await tab.waitUntilReady();
        return tab;
      },
      async close() {
        connection.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw new Error(`Firefox did not start:\n${output}`, { cause: error });
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const limit = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), STOP_LIMIT_MS);
  await ended;
  clearTimeout(limit);
}

/** A tab of the room in Firefox. */
class FirefoxTab extends ScriptedTab {
  private readonly connection: BidiConnection;
  private readonly context: string;

  constructor(connection: BidiConnection, context: string, label: string) {
    super(new BidiScript(connection, context), label);
    this.connection = connection;
    this.context = context;
    connection.onEvent((method, given) => {
      const entry = given as { source?: { context?: string }; level?: string; text?: string | null };
      if (method === 'log.entryAdded' && entry.source?.context === context) this.messages.push(`${entry.level ?? ''}: ${entry.text ?? ''}`);
    });
  }

  /** Reloads the page and waits until it has joined its room. */
  async reload(): Promise<void> {
    await this.connection.send('browsingContext.reload', { context: this.context, wait: 'complete' });
    await this.waitUntilReady();
  }
}

class BidiScript implements PageScript {
  private readonly connection: BidiConnection;
  private readonly context: string;

  constructor(connection: BidiConnection, context: string) {
    this.connection = connection;
    this.context = context;
  }

  async evaluate<Result>(work: (given: never) => Result | Promise<Result>, given?: unknown): Promise<Result> {
    const answer = (await this.connection.send('script.evaluate', {
      expression: `(async () => JSON.stringify(await (${work.toString()})(${given === undefined ? '' : JSON.stringify(given)})))()`,
      target: { context: this.context },
      awaitPromise: true,
    })) as { type: string; result?: { value?: string }; exceptionDetails?: { text: string } };
    if (answer.type !== 'success') throw new Error(`In Firefox: ${answer.exceptionDetails?.text ?? 'an exception'}`);
    const text = answer.result?.value;
    return (text === undefined ? undefined : JSON.parse(text)) as Result;
  }

  isClosed(): boolean {
    return this.connection.isClosed;
  }
}
