/** A tab of the room in Playwright's Chromium. */
import type { ConsoleMessage, Page } from '@playwright/test';
import type { Tab } from '../../src/host/scripting-interface.ts';
import { ScriptedTab } from './scripted-tab.ts';

export class HostPage extends ScriptedTab {
  /** What the page wrote to the browser's console as errors, and exceptions nobody caught. */
  readonly errors: string[] = [];
  readonly page: Page;

  constructor(page: Page, label: string) {
    super(page, label);
    this.page = page;
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

  /** Whether a standby machine in this tab is ready for the next VM. */
  hasStandby(): Promise<boolean> {
    return this.page.evaluate(() => (window.tabmotion as unknown as Tab).view().standby);
  }

  /** The number of its workers, without the one whose machine is only on standby. */
  async vmWorkers(): Promise<number> {
    return this.page.workers().length - ((await this.hasStandby()) ? 1 : 0);
  }

  async open(address: string): Promise<void> {
    await this.page.goto(address);
    await this.waitUntilReady();
  }
}
