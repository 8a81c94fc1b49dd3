/** A tab of the room, driven as a demo script would: through `window.tabmotion`. */
import { randomBytes } from 'node:crypto';
import type { ConsoleMessage, Page } from '@playwright/test';
import type { MigrationReport } from '../../src/migration/report.ts';
import type { MigrateOptions, Tab, TabMotion, TabMotionHost, TabMotionVm } from '../../src/host/scripting-interface.ts';
import { pollFor } from './poll-for.ts';

declare global {
  interface Window {
    tabmotion: TabMotion;
  }
}

/** The guest's root shell. */
export const PROMPT = 'guest# ';
const READY_LIMIT_MS = 30_000;
/** Long enough for a second try after one that failed. */
const LINK_LIMIT_MS = 60_000;

export interface CommandResult {
  readonly output: string;
  readonly status: number;
}

/** Tabs that the running test opened (there is one test at a time in a process), for its record if it fails. */
const opened: HostPage[] = [];

/** Forgets and returns them. */
export function takeOpenedPages(): HostPage[] {
  return opened.splice(0);
}

export class HostPage {
  /** What the page wrote to the browser's console as errors, and exceptions nobody caught. */
  readonly errors: string[] = [];
  readonly messages: string[] = [];

  readonly page: Page;
  /** For messages and failure artefacts. */
  readonly label: string;

  constructor(page: Page, label: string) {
    this.page = page;
    this.label = label;
    opened.push(this);
    page.on('console', (message: ConsoleMessage) => {
      this.messages.push(`${message.type()}: ${message.text()}`);
      if (message.type() === 'error') this.errors.push(message.text());
    });
    page.on('pageerror', (error) => {
      this.messages.push(`exception: ${error.stack ?? error.message}`);
      this.errors.push(error.message);
    });
    page.on('crash', () => this.messages.push('the tab crashed'));
  }

  async open(address: string): Promise<void> {
    await this.page.goto(address);
    await pollFor(`window.tabmotion to be ready in ${this.label}`, async () => {
      const ready = this.page.evaluate(async () => {
        if (!('tabmotion' in window)) return false;
        await window.tabmotion.ready;
        return true;
      });
      return ready;
    }, READY_LIMIT_MS);
  }

  /** Waits until the guest is loaded: from then on a VM can start here, or arrive. */
  async waitForGuest(): Promise<void> {
    await pollFor(`${this.label} to have loaded the guest`, () => this.page.evaluate(() => (window.tabmotion as Tab).view().starting === null));
  }

  /** Waits until a migration to this host would go over WebRTC; until then it would take another link. */
  async waitForWebRtc(hostId: string): Promise<void> {
    await pollFor(`${this.label} to have a WebRTC connection`, () => this.page.evaluate((other) => (window.tabmotion as Tab).view().links[other] === 'webrtc', hostId), LINK_LIMIT_MS);
  }

  async id(): Promise<string> {
    return this.page.evaluate(() => window.tabmotion.host.id);
  }

  async hosts(): Promise<TabMotionHost[]> {
    return this.page.evaluate(() => window.tabmotion.hosts());
  }

  async vms(): Promise<TabMotionVm[]> {
    return this.page.evaluate(() => window.tabmotion.vms());
  }

  async vm(vmId: string): Promise<TabMotionVm | undefined> {
    return (await this.vms()).find((vm) => vm.id === vmId);
  }

  /** The VM once this tab runs it; `vmId` undefined: whichever is first. */
  async runningVm(vmId?: string): Promise<TabMotionVm> {
    const self = await this.id();
    return pollFor(`a running VM in ${this.label}`, async () => (await this.vms()).find((vm) => vm.hostId === self && vm.state === 'running' && (vmId === undefined || vm.id === vmId)));
  }

  async waitForHosts(count: number): Promise<TabMotionHost[]> {
    return pollFor(`${count} hosts in the room, seen from ${this.label}`, async () => {
      const hosts = await this.hosts();
      return hosts.length === count ? hosts : null;
    });
  }

  async start(options: { name?: string; memoryMiB?: number } = {}): Promise<TabMotionVm> {
    return this.page.evaluate((given) => window.tabmotion.start(given), options);
  }

  async migrate(vmId: string, hostId: string, options: MigrateOptions = {}): Promise<MigrationReport> {
    return this.page.evaluate(([vm, host, given]) => window.tabmotion.migrate(vm, host, given), [vmId, hostId, options] as const);
  }

  async cancel(vmId: string): Promise<void> {
    await this.page.evaluate((vm) => window.tabmotion.cancel(vm), vmId);
  }

  async consoleText(vmId: string): Promise<string> {
    return this.page.evaluate((vm) => window.tabmotion.console(vm).text(), vmId);
  }

  async type(vmId: string, text: string): Promise<void> {
    await this.page.evaluate(([vm, typed]) => window.tabmotion.console(vm).write(typed), [vmId, text] as const);
  }

  async waitForPrompt(vmId: string): Promise<void> {
    await pollFor(`the prompt on the console of ${vmId} in ${this.label}`, async () => (await this.consoleText(vmId)).trimEnd().endsWith(PROMPT.trimEnd()));
  }

  /** Waits until what the console printed (as far as it is kept) matches. */
  async waitForText(vmId: string, pattern: RegExp, limitMs = 30_000): Promise<RegExpExecArray> {
    return pollFor(`${pattern.source} on the console of ${vmId} in ${this.label}`, async () => pattern.exec(await this.consoleText(vmId)), limitMs);
  }

  /**
   * Runs one command line in the shell and returns what it printed and its exit status. The shell must be at its prompt.
   * The marks are put together by printf, so that the echo of the typed line is never taken for them.
   */
  async run(vmId: string, command: string, limitMs = 60_000): Promise<CommandResult> {
    const mark = randomBytes(4).toString('hex');
    const printed = await this.page.evaluateHandle((vm) => {
      const chunks: string[] = [];
      const stop = window.tabmotion.console(vm).onData((text) => chunks.push(text));
      return { text: () => chunks.join(''), stop };
    }, vmId);
    await this.type(vmId, `printf '<%s>\\n' ${mark}; eval '${command.replaceAll("'", `'\\''`)}'; printf '<%s/%s>\\n' ${mark} $?\n`);
    const whole = new RegExp(`<${mark}>\\r?\\n([\\s\\S]*?)<${mark}/(\\d+)>`);
    const found = await pollFor(`the end of ${JSON.stringify(command)} in ${vmId}`, async () => whole.exec(await printed.evaluate(({ text }) => text())), limitMs);
    await printed.evaluate(({ stop }) => stop());
    await printed.dispose();
    return { output: (found[1] ?? '').replaceAll('\r', '').trimEnd(), status: Number(found[2]) };
  }
}
