import { describe, expect, it, vi } from 'vitest';
import { GuestAgent } from './guest-agent.ts';
import { systemClock } from '../shared/system-clock.ts';

/** A port whose other end is the test. */
function agent() {
  const sent: string[] = [];
  let heard: (bytes: Uint8Array) => void = () => undefined;
  const port = {
    write: (bytes: Uint8Array) => void sent.push(new TextDecoder().decode(bytes)),
    onData(listener: (bytes: Uint8Array) => void) {
      heard = listener;
      return { dispose: () => undefined };
    },
  };
  const says = async (line: string): Promise<void> => {
    heard(new TextEncoder().encode(`${line}\n`));
    await vi.waitFor(() => undefined);
  };
  return { agent: new GuestAgent(port, systemClock), sent, says };
}

describe('GuestAgent', () => {
  it('sends the last of several sizes, one at a time', async () => {
    const { agent: guest, sent, says } = agent();
    guest.resize({ cols: 80, rows: 24 });
    guest.resize({ cols: 100, rows: 30 });
    await vi.waitFor(() => expect(sent).toEqual(['size cols=100 rows=30\n']));
    guest.resize({ cols: 31, rows: 42 });
    guest.resize({ cols: 32, rows: 42 });
    await says('ok size');
    await vi.waitFor(() => expect(sent).toEqual(['size cols=100 rows=30\n', 'size cols=32 rows=42\n']));
    guest.dispose();
  });

  it("sends the size again when the guest's services have begun anew: a boot has set its own", async () => {
    const { agent: guest, sent, says } = agent();
    await says('event services');
    guest.resize({ cols: 120, rows: 40 });
    await vi.waitFor(() => expect(sent).toHaveLength(1));
    await says('ok size');
    await says('event services');
    await vi.waitFor(() => expect(sent).toEqual(['size cols=120 rows=40\n', 'size cols=120 rows=40\n']));
    guest.dispose();
  });

  it('sends a seed of 64 random bytes, another one at each boot: the guest starts no shell before', async () => {
    const { agent: guest, sent, says } = agent();
    const asked = guest.seed();
    await vi.waitFor(() => expect(sent).toHaveLength(1));
    await says('ok seed');
    expect(await asked).toBe('ok seed');
    await says('event ready');
    await vi.waitFor(() => expect(sent).toHaveLength(2));
    for (const line of sent) expect(line).toMatch(/^seed seed=[0-9a-f]{128}\n$/);
    expect(sent[1]).not.toBe(sent[0]);
    guest.dispose();
  });

  it('takes a refusal for an answer, and goes on with the next question', async () => {
    const { agent: guest, sent, says } = agent();
    guest.resize({ cols: 80, rows: 24 });
    await vi.waitFor(() => expect(sent).toHaveLength(1));
    const asked = guest.clock(() => ({ wallMs: 5, timeStamp: 7n }));
    await says('error the console has no size');
    await vi.waitFor(() => expect(sent).toEqual(['size cols=80 rows=24\n', 'clock time=5 tsc=7\n']));
    await says('ok clock delta=0');
    expect(await asked).toBe('ok clock delta=0');
    guest.dispose();
  });
});
