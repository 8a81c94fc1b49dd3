/** What is open in a tab: workers, data channels. Nothing may be left of a migration. */
import type { Page } from '@playwright/test';
import type { HostPage } from './host-page.ts';

export interface Census {
  /** Without the one whose machine is only on standby. */
  readonly workers: number;
  /** Open data channels of all its peer connections, those handed to workers included. */
  readonly dataChannels: number;
}

/** Call it before the page loads anything. */
export async function countConnections(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const RealConnection = window.RTCPeerConnection;
    const connections: RTCPeerConnection[] = [];
    (window as unknown as { connections: RTCPeerConnection[] }).connections = connections;
    window.RTCPeerConnection = class extends RealConnection {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        connections.push(this);
      }
    };
  });
}

export async function census(host: HostPage): Promise<Census> {
  const dataChannels = await host.page.evaluate(async () => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    let open = 0;
    for (const connection of connections) {
      if (connection.connectionState === 'closed') continue;
      const stats = (await connection.getStats()) as unknown as Map<string, { type: string; state?: string }>;
      open += [...stats.values()].filter((entry) => entry.type === 'data-channel' && entry.state === 'open').length;
    }
    return open;
  });
  return { workers: await host.vmWorkers(), dataChannels };
}
