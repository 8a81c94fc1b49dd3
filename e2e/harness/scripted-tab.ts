/** A tab of the room in any browser, driven as a demo script would: through `window.tabmotion`. */
import { randomBytes } from 'node:crypto';
import type { MigrationReport } from '../../src/migration/report.ts';
import type { MigrateOptions, Tab, TabMotion, TabMotionHost, TabMotionVm } from '../../src/host/scripting-interface.ts';
import { pollFor } from './poll-for.ts';

declare global {
  interface Window {
    tabmotion: TabMotion;
    /** Consoles that `run` listens to, by its mark. */
    listening?: Record<string, { readonly text: () => string; readonly stop: () => void }>;
  }
}

/** The guest's root shell. */
const PROMPT = 'guest# ';
const READY_LIMIT_MS = 30_000;
/** Long enough for a second try after one that failed. */
const LINK_LIMIT_MS = 60_000;

export interface CommandResult {
  readonly output: string;
  readonly status: number;
}

/** Runs functions in a page. They are sent as text: they cannot use variables around them, and their arguments and results are JSON. */
export interface PageScript {
  evaluate<Result>(work: () => Result | Promise<Result>): Promise<Result>;
  evaluate<Result, Given>(work: (given: Given) => Result | Promise<Result>, given: Given): Promise<Result>;
  isClosed(): boolean;
}

/** Tabs that the running test opened (there is one test at a time in a process), for its record if it fails. */
const opened: ScriptedTab[] = [];

/** Forgets and returns them. */
export function takeOpenedTabs(): ScriptedTab[] {
  return opened.splice(0);
}

/** The shell draws its prompt anew when the terminal's size changes. */
function withoutControls(text: string): string {
  return text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
}

export class ScriptedTab {
  /** What the page wrote to the browser's console. */
  readonly messages: string[] = [];
  /** For messages and failure artefacts. */
  readonly label: string;
  readonly script: PageScript;

  constructor(script: PageScript, label: string) {
    this.script = script;
    this.label = label;
    opened.push(this);
  }

  /** Waits until the page, which is being loaded, has joined its room. */
  async waitUntilReady(): Promise<void> {
    await pollFor(
      `window.tabmotion to be ready in ${this.label}`,
      async () => {
        const ready = this.script.evaluate(async () => {
          if (!('tabmotion' in window)) return false;
          await window.tabmotion.ready;
          return true;
        });
        return ready;
      },
      READY_LIMIT_MS,
    );
  }

  /** Waits until the guest is loaded: from then on a VM can start here, or arrive. */
  async waitForGuest(): Promise<void> {
    await pollFor(`${this.label} to have loaded the guest`, () => this.script.evaluate(() => (window.tabmotion as Tab).view().starting === null));
  }

  /** Waits until a migration to this host would go over WebRTC; until then it would take another link. */
  async waitForWebRtc(hostId: string): Promise<void> {
    await pollFor(
      `${this.label} to have a WebRTC connection`,
      () => this.script.evaluate((other) => (window.tabmotion as Tab).view().links[other] === 'webrtc', hostId),
      LINK_LIMIT_MS,
    );
  }

  async id(): Promise<string> {
    return this.script.evaluate(() => window.tabmotion.host.id);
  }

  async hosts(): Promise<TabMotionHost[]> {
    return this.script.evaluate(() => window.tabmotion.hosts());
  }

  async vms(): Promise<TabMotionVm[]> {
    return this.script.evaluate(() => window.tabmotion.vms());
  }

  async vm(vmId: string): Promise<TabMotionVm | undefined> {
    return (await this.vms()).find((vm) => vm.id === vmId);
  }

  /** The VM once this tab runs it; `vmId` undefined: whichever is first. */
  async runningVm(vmId?: string): Promise<TabMotionVm> {
    const self = await this.id();
    return pollFor(`a running VM in ${this.label}`, async () =>
      (await this.vms()).find((vm) => vm.hostId === self && vm.state === 'running' && (vmId === undefined || vm.id === vmId)),
    );
  }

  async waitForHosts(count: number): Promise<TabMotionHost[]> {
    return pollFor(`${count} hosts in the room, seen from ${this.label}`, async () => {
      const hosts = await this.hosts();
      return hosts.length === count ? hosts : null;
    });
  }

  async start(options: { name?: string; memoryMiB?: number } = {}): Promise<TabMotionVm> {
    return this.script.evaluate((given) => window.tabmotion.start(given), options);
  }

  async migrate(vmId: string, hostId: string, options: MigrateOptions = {}): Promise<MigrationReport> {
    return this.script.evaluate(([vm, host, given]) => window.tabmotion.migrate(vm, host, given), [vmId, hostId, options] as const);
  }

  async cancel(vmId: string): Promise<void> {
    await this.script.evaluate((vm) => window.tabmotion.cancel(vm), vmId);
  }

  async consoleText(vmId: string): Promise<string> {
    return this.script.evaluate((vm) => window.tabmotion.console(vm).text(), vmId);
  }

  async type(vmId: string, text: string): Promise<void> {
    await this.script.evaluate(([vm, typed]) => window.tabmotion.console(vm).write(typed), [vmId, text] as const);
  }

  async waitForPrompt(vmId: string): Promise<void> {
    await pollFor(`the prompt on the console of ${vmId} in ${this.label}`, async () =>
      withoutControls(await this.consoleText(vmId))
        .trimEnd()
        .endsWith(PROMPT.trimEnd()),
    );
  }

  /** Waits until what the console printed (as far as it is kept) matches. */
  async waitForText(vmId: string, pattern: RegExp, limitMs = 30_000): Promise<RegExpExecArray> {
    return pollFor(`${pattern.source} on the console of ${vmId} in ${this.label}`, async () => pattern.exec(await this.consoleText(vmId)), limitMs);
  }

  /**
   * Runs one command line in the shell and returns what it printed and its exit status. The shell must be at its prompt.
   * printf assembles the marks, so that the echo of the typed line is never mistaken for them.
   */
  async run(vmId: string, command: string, limitMs = 60_000): Promise<CommandResult> {
    const mark = randomBytes(4).toString('hex');
    await this.script.evaluate(
      ([vm, name]) => {
        const chunks: string[] = [];
        const stop = window.tabmotion.console(vm).onData((text) => chunks.push(text));
        (window.listening ??= {})[name] = { text: () => chunks.join(''), stop };
      },
      [vmId, mark] as const,
    );
    await this.type(vmId, `printf '<%s>\\n' ${mark}; eval '${command.replaceAll("'", `'\\''`)}'; printf '<%s/%s>\\n' ${mark} $?\n`);
    const whole = new RegExp(`<${mark}>\\r?\\n([\\s\\S]*?)<${mark}/(\\d+)>`);
    const found = await pollFor(
      `the end of ${JSON.stringify(command)} in ${vmId}`,
      async () => whole.exec(await this.script.evaluate((name) => window.listening?.[name]?.text() ?? '', mark)),
      limitMs,
    );
    await this.script.evaluate((name) => {
      window.listening?.[name]?.stop();
      delete window.listening?.[name];
    }, mark);
    return { output: (found[1] ?? '').replaceAll('\r', '').trimEnd(), status: Number(found[2]) };
  }
}
