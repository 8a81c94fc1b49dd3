/** Work for the guest that writes memory in every way we know of; each is one line for its shell. */
import type { GuestConsole } from './guest-console.ts';

export interface Workload {
  readonly title: string;
  readonly command: string;
  /** What its output must contain to show that it did what it should. */
  readonly expect?: RegExp;
  /** The command keeps its memory for the comparison and ends when this is typed; until then there is no prompt. */
  readonly end?: string;
}

/** Runs a workload up to where its memory is worth comparing; resolves with its output. */
export async function startWorkload(console: GuestConsole, workload: Workload): Promise<string> {
  if (workload.end === undefined) return console.run(workload.command);
  const from = console.text.length;
  console.type(`${workload.command}\n`);
  // A prompt means that the workload failed; its message is then in the output.
  return console.until(/^writes [a-z]+: [^\n]*\n|\nguest# /m, from);
}

/** Brings the shell back to its prompt after startWorkload(). */
export async function endWorkload(console: GuestConsole, workload: Workload): Promise<void> {
  if (workload.end !== undefined) await console.run(workload.end);
}

export const WORKLOADS: readonly Workload[] = [
  { title: 'an idle guest', command: 'sleep 0.3' },
  { title: 'port input by rep ins into memory never touched', command: 'writes ports', expect: /wrong bytes=0\r\n/, end: '' },
  { title: 'disk reads by programmed I/O into memory never touched', command: 'writes pio', expect: /wrong reads=0\r\n/, end: '' },
  {
    title: 'disk reads by DMA into a cold page cache',
    command: 'echo 3 > /proc/sys/vm/drop_caches; cat /lib/modules/*/*.ko | md5sum',
    expect: /^[0-9a-f]{32}/m,
  },
  { title: 'stores of every size across page boundaries', command: 'writes crossing', expect: /bytes written=\d{4}\r\n/, end: '' },
  { title: 'code that rewrites itself', command: 'writes code', expect: /wrong results=0\r\n/, end: '' },
  { title: 'stores to the BIOS alias below 4 GiB', command: 'writes bios', expect: /bytes changed=0\r\n/, end: '' },
  { title: 'a storm of processes', command: 'i=0; while [ $i -lt 40 ]; do /bin/busybox true; i=$((i+1)); done' },
  {
    title: 'random data into a file in memory',
    command: 'dd if=/dev/urandom of=/dev/shm/random bs=64k count=48 2>/dev/null; md5sum /dev/shm/random',
    expect: /^[0-9a-f]{32}/m,
  },
  {
    title: 'files copied in memory and on the disk',
    command: 'cp -r /lib/modules /dev/shm/copy; mkdir -p /root/copy; cp /etc/* /bin/ticker /bin/pagecheck /root/copy 2>/dev/null; sync',
  },
  { title: 'text on the screen', command: 'dmesg | tail -n 60 > /dev/tty1' },
];
