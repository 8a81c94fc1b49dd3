/**
 * The Linux kernel in the role of a guest: a network namespace of its own whose only way out is a TAP device, bridged
 * to the station that the test gives. Needs root, `ip`, `socat`; tests ask `kernelGuestSkipReason` first.
 */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { GATEWAY_IP } from '../../lan/lan.ts';
import { createTapStation, type TapStation } from '../tap-station.ts';

export const KERNEL_MAC = '02:5a:00:00:00:02';
export const KERNEL_IP = '10.86.0.2';

/**
 * The numbers of the pings that were answered, as `ping` printed them. Send one more than must be answered: once ping had
 * an answer, it waits for the last one for two round trips only, and a busy machine takes longer.
 */
export function answeredPings(printed: string): number[] {
  return [...printed.matchAll(/icmp_seq=(\d+) ttl=/g)].map((match) => Number(match[1]));
}

/** Why tests with the kernel cannot run here; null if they can. */
export function kernelGuestSkipReason(tools: readonly string[] = []): string | null {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root (network namespaces and TAP)';
  for (const tool of ['ip', 'socat', ...tools]) {
    if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) return `needs ${tool}`;
  }
  const name = `tmprobe${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return 'needs the right to make network namespaces';
  const tun = spawnSync('ip', ['netns', 'exec', name, 'ip', 'tuntap', 'add', 'dev', 'probe0', 'mode', 'tap']);
  spawnSync('ip', ['netns', 'del', name]);
  return tun.status === 0 ? null : 'needs the right to make TAP devices';
}

interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KernelGuest {
  readonly station: TapStation;
  /** Runs a program in the namespace and waits for it. */
  run(program: string, ...args: string[]): Promise<RunResult>;
  /** Runs a shell line in the namespace. */
  shell(line: string): Promise<RunResult>;
  /** Starts a program in the namespace; ended with the guest at the latest. */
  start(program: string, ...args: string[]): ChildProcess;
  dispose(): Promise<void>;
}

let made = 0;

/** `send`: takes the frames of the kernel. Without `addressed` the device has no IP address, as before DHCP. */
export async function createKernelGuest(send: (frame: Uint8Array) => void, addressed = true): Promise<KernelGuest> {
  const name = `tm${process.pid}x${++made}`;
  const device = `tm${process.pid}t${made}`.slice(0, 15);
  const children = new Set<ChildProcess>();
  const run = (program: string, ...args: string[]): Promise<RunResult> =>
    new Promise((resolve) => {
      execFile('ip', ['netns', 'exec', name, program, ...args], { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : null, stdout, stderr });
      });
    });
  const must = (...args: string[]): void => {
    const result = spawnSync('ip', args, { encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`ip ${args.join(' ')}: ${result.stderr}`);
  };
  must('netns', 'add', name);
  try {
    const station = await createTapStation({ send, device, address: null, spawn: true });
    // socat keeps the device's file open when the device moves, so our end stays outside the namespace.
    must('link', 'set', device, 'netns', name);
    must('-n', name, 'link', 'set', device, 'name', 'eth0', 'address', KERNEL_MAC);
    must('netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
    must('-n', name, 'link', 'set', 'lo', 'up');
    must('-n', name, 'link', 'set', 'eth0', 'up');
    if (addressed) {
      must('-n', name, 'addr', 'add', `${KERNEL_IP}/24`, 'dev', 'eth0');
      must('-n', name, 'route', 'add', 'default', 'via', GATEWAY_IP);
    }
    return {
      station,
      run,
      shell: (line) => run('sh', '-c', line),
      start(program, ...args) {
        const child = spawn('ip', ['netns', 'exec', name, program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
        children.add(child);
        child.on('exit', () => children.delete(child));
        return child;
      },
      async dispose() {
        for (const child of children) child.kill('SIGKILL');
        await station.dispose();
        spawnSync('ip', ['netns', 'del', name]);
      },
    };
  } catch (error) {
    spawnSync('ip', ['netns', 'del', name]);
    throw error;
  }
}
