/** What the finished guest promises (AGENT.md, README.md), tried on the real one. One machine for all, in order. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GUEST_LIMIT_MS, restoredGuest, type RestoredGuest } from './testing/restored-guest.ts';
import type { MacAddress } from '../src/shared/ids.ts';

const MAC = '02:5a:00:00:00:2a' as MacAddress;
const CTRL_C = '\x03';
const SEED = 'ab'.repeat(64);
/** No host's clock shows it. */
const REAL_TIME_MS = Date.UTC(2031, 1, 3);
const HALF_AN_IDENTITY = `identity time=1763840000000 seed=${SEED} password=x`;

function patternDigest(mebibytes: number, seed: number): string {
  const words = new Uint32Array(mebibytes * 262144);
  let state = seed;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    words[at] = state;
  }
  return createHash('sha256').update(words).digest('hex');
}

describe('the guest', { timeout: GUEST_LIMIT_MS }, () => {
  let guest: RestoredGuest;
  let greeting: string;
  let prompt: string;

  beforeAll(async () => {
    guest = await restoredGuest();
    greeting = new TextDecoder().decode(guest.machine.scrollback());
    guest.machine.network.setMac(MAC);
    await guest.begin();
    prompt = guest.console.since(0);
  }, GUEST_LIMIT_MS);

  afterAll(() => guest.dispose());

  const ask = async (line: string, answer: string): Promise<string> => {
    const from = guest.agent.position;
    await guest.agent.ask(line, answer, GUEST_LIMIT_MS);
    await guest.agent.printed('\n', GUEST_LIMIT_MS, from);
    return guest.agent.since(from).trim();
  };

  /** Runs a program until it has printed `lines` lines that match, then stops it with Ctrl-C. */
  const runUntil = async (command: string, line: RegExp, lines: number): Promise<string[]> => {
    const from = guest.console.position;
    guest.type(`${command}\n`);
    const matching = (): string[] =>
      guest.console
        .since(from)
        .replaceAll('\r', '')
        .split('\n')
        .slice(0, -1)
        .filter((text) => line.test(text));
    for (let count = 0; count < lines;) {
      const before = guest.console.position;
      await guest.console.printed('\n', GUEST_LIMIT_MS, before);
      count = matching().length;
    }
    guest.type(CTRL_C);
    await guest.console.printed('\nguest# ', GUEST_LIMIT_MS, from);
    return matching();
  };

  it('greets in the snapshot already, and has a prompt once it has a seed', () => {
    expect(greeting).toContain('inside a browser tab');
    expect(greeting).not.toContain('guest#');
    expect(greeting).not.toContain('\x1b');
    expect(prompt).toMatch(/guest# $/);
    expect(prompt).not.toContain('inside a browser tab');
  });

  it('has a root shell that edits lines and does not ask the terminal where its cursor is', async () => {
    const from = guest.console.position;
    expect(await guest.shell('id -u; pwd; echo wronk\x7fg')).toBe('0\n/root\nwrong\n');
    expect(guest.console.since(from)).not.toContain('\x1b[6n');
  });

  it('has an agent that says which protocol it speaks', async () => {
    expect(await ask('hello', 'tabmotion-agent')).toBe('tabmotion-agent 1');
  });

  it.each([
    ['an unknown verb', 'sing', 'unknown command'],
    ['a field without a value', 'identity mac', 'malformed line'],
    ['a line that is too long', 'x'.repeat(3000), 'line too long'],
    ['a time that is none', 'clock time=soon', 'bad time'],
    ['half a seed', `seed seed=${SEED.slice(2)}`, 'bad seed'],
    ['a missing seed', 'identity time=1', 'bad seed'],
    ['a host name with an underscore', `${HALF_AN_IDENTITY} hostname=a_b mac=${MAC} ip=10.0.0.2/24`, 'bad hostname'],
    ['half a MAC address', `${HALF_AN_IDENTITY} hostname=a mac=02:5a ip=10.0.0.2/24`, 'bad mac'],
    ['an address out of range', `${HALF_AN_IDENTITY} hostname=a mac=${MAC} ip=10.0.0.256/24`, 'bad ip'],
    ['an address without its network', `${HALF_AN_IDENTITY} hostname=a mac=${MAC} ip=10.0.0.2`, 'bad ip'],
  ])('has an agent that refuses %s by name', async (_, line, reason) => {
    expect(await ask(line, 'error ')).toBe(`error ${reason}`);
  });

  it('takes on an identity: name, address, card, clock and password', async () => {
    const identity = `identity mac=${MAC} hostname=quiet-fox ip=10.77.0.5/24 gateway=10.77.0.1 dns=10.77.0.1 time=1763840000000 seed=${SEED} password=correct-horse`;
    expect(await ask(identity, 'ok')).toBe('ok identity');
    expect(
      await guest.shell(
        "hostname; cat /sys/class/net/eth0/address; ip -4 -o addr show eth0 | awk '{print $4}'; ip route | head -1; cat /etc/resolv.conf; date -u +%Y-%m-%dT%H",
      ),
    ).toBe(`quiet-fox\n${MAC}\n10.77.0.5/24\ndefault via 10.77.0.1 dev eth0 \nnameserver 10.77.0.1\n2025-11-22T19\n`);
  });

  it('answers on its web and SSH ports once it has said so', async () => {
    await guest.agent.printed('event services', GUEST_LIMIT_MS);
    expect(await guest.shell('wget -q -O - http://10.77.0.5/ | grep -c "<h1>"')).toBe('1\n');
    expect(await guest.shell('DROPBEAR_PASSWORD=correct-horse dbclient -y 10.77.0.5 "id -un; echo $PS1" 2>/dev/null')).toBe('root\nguest#\n');
    expect(
      await guest.shell('DROPBEAR_PASSWORD=wrong dbclient -y 10.77.0.5 id 2>&1 | grep -c "No more authentication methods\\|Permission denied\\|xited"'),
    ).not.toBe('0\n');
    expect(await guest.shell('wc -l < /etc/shadow; grep -c "^root:.6.rounds=1000" /etc/shadow; ls /etc/dropbear')).toBe('2\n1\ndropbear_ed25519_host_key\n');
    expect(await guest.shell('wget -q -O - "http://10.77.0.5/cgi-bin/stream?mb=x" 2>&1')).toContain('400');
  });

  it('streams the same bytes for the same seed over HTTP, which anybody can compute', async () => {
    expect(await guest.shell('wget -q -O - "http://10.77.0.5/cgi-bin/stream?mb=2&seed=7" | sha256sum')).toBe(`${patternDigest(2, 7)}  -\n`);
    expect(await guest.shell('pattern 1 99 | sha256sum')).toBe(`${patternDigest(1, 99)}  -\n`);
  });

  it('sets its clock when it is off by more than 20 ms, and says by how much it was', async () => {
    const now = Number(await guest.shell('date +%s'));
    expect(await ask(`clock time=${(now + 3600) * 1000}`, 'ok')).toMatch(/^ok clock delta=3(59\d|60\d)\d{3}$/);
    const later = Number(await guest.shell('date +%s'));
    expect(later - now).toBeGreaterThanOrEqual(3600);
  });

  it('adds what has passed since the time-stamp counter showed what the host says, and knows one from before a reboot', async () => {
    const now = Number(await guest.shell('date +%s'));
    const aSecondAgo = guest.machine.timeStamp() - 1_000_000_000n;
    const [, delta] = /^ok clock delta=(-?\d+)$/.exec(await ask(`clock time=${(now + 100) * 1000} tsc=${aSecondAgo}`, 'ok'))!;
    expect(Number(delta)).toBeGreaterThanOrEqual(99_000);
    expect(Number(await guest.shell('date +%s')) - now).toBeGreaterThanOrEqual(101);
    expect(await ask(`clock time=${now * 1000} tsc=${guest.machine.timeStamp() + 3_600_000_000_000n}`, 'error')).toBe('error bad time');
  });

  it('takes the size of the terminal that shows its console', async () => {
    expect(await ask('size cols=132 rows=50', 'ok')).toBe('ok size');
    expect(await guest.shell('stty size')).toBe('50 132\n');
  });

  it('has a ticker that counts without a gap in its numbers, until Ctrl-C', async () => {
    const lines = await runUntil('ticker 50', /^ticker \d+ gap=\d+$/, 12);
    expect(lines.map((line) => Number(line.split(' ')[1]))).toEqual(lines.map((_, index) => index + 1));
  });

  it('has a pagecheck that finds no bad page, and a dirty that writes what it says, until Ctrl-C', async () => {
    const checked = await runUntil('pagecheck 2 500', /^pagecheck gen=\d+ bad=0$/, 2);
    const generations = checked.map((line) => Number(/gen=(\d+)/.exec(line)![1]));
    expect(generations[1]! - generations[0]!).toBe(500);
    const written = await runUntil('dirty 2 300', /^dirty pages=\d+$/, 2);
    expect(written.slice(0, 2)).toEqual(['dirty pages=300', 'dirty pages=600']);
  });

  it.each(['ticker 0', 'ticker 1 2', 'pagecheck', 'pagecheck x', 'pagecheck 4 -1', 'dirty 0', 'dirty 9999999', 'pattern 1 0'])(
    'explains itself when asked for "%s"',
    async (command) => {
      expect(await guest.shell(`${command}; echo status $?`)).toMatch(/^usage: .*\nstatus 2\n$/);
    },
  );

  it('refuses more memory than there is', async () => {
    expect(await guest.shell('ulimit -v 20000; pagecheck 64; echo status $?; ulimit -v unlimited')).toMatch(/not so much memory\nstatus 2\n$/);
  });

  it('writes to its disk and reads the same back with empty caches', async () => {
    expect(await guest.shell('pattern 3 5 > /root/data; sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum < /root/data')).toBe(`${patternDigest(3, 5)}  -\n`);
  });

  it('comes up again after a reboot with the identity and the files it had', async () => {
    const from = guest.console.position;
    const heard = guest.agent.position;
    // The reboot takes the wall clock from the real-time clock.
    guest.machine.setRealTime(REAL_TIME_MS);
    guest.type('sync; reboot\n');
    await guest.console.printed('inside a browser tab', GUEST_LIMIT_MS, from);
    await guest.agent.printed('event services', GUEST_LIMIT_MS, heard);
    await guest.widen();
    const seconds = Number(await guest.shell('date +%s')) - REAL_TIME_MS / 1000;
    expect(seconds).toBeGreaterThanOrEqual(0);
    expect(seconds).toBeLessThan(GUEST_LIMIT_MS / 1000);
    expect(await guest.shell("hostname; ip -4 -o addr show eth0 | awk '{print $4}'; sha256sum < /root/data")).toBe(
      `quiet-fox\n10.77.0.5/24\n${patternDigest(3, 5)}  -\n`,
    );
  });

  it('shows a shell on its screen too', () => {
    expect(guest.machine.screen.text()!.join('\n')).toContain('guest#');
  });

  it('switches itself off when the agent is asked to', async () => {
    const ended = new Promise<void>((done) => guest.machine.onState((state) => state === 'powered-off' && done()));
    expect(await ask('shutdown', 'ok')).toBe('ok shutdown');
    await ended;
    expect(guest.machine.state).toBe('powered-off');
  });
});
