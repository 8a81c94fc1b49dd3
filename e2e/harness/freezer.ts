/** Freezes a worker: it asks for an address, synchronously, and gets its answer when the test lets it go on. */
import type { Page, Route } from '@playwright/test';
import { pollFor } from './poll-for.ts';

/** Of the page's own origin: its content security policy allows no other. */
const ADDRESS = '/held-by-the-test';

export class Freezer {
  /** For a fault of type 'freeze'. */
  readonly address = ADDRESS;
  private readonly held: Route[] = [];

  /** Call it before the page loads anything. */
  async watch(page: Page): Promise<void> {
    await page.route(`**${ADDRESS}`, (route) => {
      this.held.push(route);
    });
  }

  /** Resolves once a worker is frozen. */
  async frozen(): Promise<void> {
    await pollFor('a worker to stand still', () => this.held.length > 0);
  }

  async thaw(): Promise<void> {
    await Promise.all(this.held.splice(0).map((route) => route.fulfill({ status: 204 })));
  }
}
