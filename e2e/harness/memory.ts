/** What a tab holds on to, after a forced collection. */
import type { CDPSession } from '@playwright/test';
import type { HostPage } from './host-page.ts';

export interface Holdings {
  /** Bytes of the page's JavaScript heap in use. */
  readonly heapBytes: number;
  readonly eventListeners: number;
  readonly nodes: number;
}

export class TabMemory {
  private readonly session: CDPSession;

  private constructor(session: CDPSession) {
    this.session = session;
  }

  static async of(host: HostPage): Promise<TabMemory> {
    return new TabMemory(await host.page.context().newCDPSession(host.page));
  }

  async measure(): Promise<Holdings> {
    // Finalizers may free more objects: the second collection sees those.
    await this.session.send('HeapProfiler.collectGarbage');
    await this.session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await this.session.send('Runtime.getHeapUsage');
    const { jsEventListeners, nodes } = await this.session.send('Memory.getDOMCounters');
    return { heapBytes: usedSize, eventListeners: jsEventListeners, nodes };
  }
}

/** Least-squares slope of the values, per step. */
export function slope(values: readonly number[]): number {
  const meanX = (values.length - 1) / 2;
  const meanY = values.reduce((sum, value) => sum + value, 0) / values.length;
  let above = 0;
  let below = 0;
  values.forEach((value, index) => {
    above += (index - meanX) * (value - meanY);
    below += (index - meanX) ** 2;
  });
  return below === 0 ? 0 : above / below;
}
