/**
 * The host's side of the guest agent's line protocol (guest/AGENT.md), on the VM's second serial port. It gives a
 * restored snapshot its seed and its identity, sets its wall clock after a hop, and sends it the size of the console's
 * terminal.
 */
import type { SerialPort } from '../emulator-bridge/machine.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import { hex } from '../shared/hex.ts';
import type { ConsoleSize, VmIdentity } from './vm-worker-messages.ts';

/** An answer later than this is reported; a cold guest needs well under a second. */
const ANSWER_LIMIT_MS = 10_000;
/** Longest line of the protocol; anything longer is not from our agent. */
const MAX_LINE_CHARACTERS = 1024;
const SEED_BYTES = 64;
const SERVICES_UP = 'event services';
const BOOTED = 'event ready';

/** One moment, on the two clocks that are used to set the guest's. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** The guest's time-stamp counter at that moment: the agent adds the time that passes until it reads the line. */
  readonly timeStamp: bigint;
}

const timeFields = ({ wallMs, timeStamp }: Moment): string => `time=${Math.round(wallMs)} tsc=${timeStamp}`;
/** Prefix length of a netmask such as 255.255.255.0. */
const prefixLength = (netmask: string): number => netmask.split('.').reduce((bits, part) => bits + Number(part).toString(2).replaceAll('0', '').length, 0);

const randomSeed = (): string => hex(crypto.getRandomValues(new Uint8Array(SEED_BYTES)));

/** A VM's name as a host name: letters, digits and hyphens. */
function hostname(name: string): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63);
  return plain === '' ? 'guest' : plain;
}

export class GuestAgent implements Disposable {
  private readonly port: Pick<SerialPort, 'write' | 'onData'>;
  private readonly listening: Disposable;
  private readonly services = new Emitter<undefined>();
  private line = '';
  private readonly time: Clock;
  private waiting: { readonly answer: string; readonly settle: (line: string | null) => void } | null = null;
  private queue: Promise<unknown> = Promise.resolve();
  private size: ConsoleSize | null = null;
  /** The size is queued and not yet sent. */
  private sizeQueued = false;

  constructor(port: Pick<SerialPort, 'write' | 'onData'>, clock: Clock) {
    this.port = port;
    this.time = clock;
    this.listening = port.onData((bytes) => this.heard(bytes));
  }

  /** Gives the VM a random seed of its own. The guest starts no shell before it has one. Resolves like identity(). */
  seed(): Promise<string | null> {
    return this.ask('ok seed', () => `seed seed=${randomSeed()}`);
  }

  /** Gives the VM its identity, a random seed of its own and the time. Resolves with the agent's answer; null if none came. */
  identity(vm: VmIdentity, now: () => Moment): Promise<string | null> {
    return this.ask(
      'ok identity',
      () =>
        `identity mac=${vm.mac} hostname=${hostname(vm.name)} ip=${vm.ip}/${prefixLength(vm.netmask)} gateway=${vm.gateway} dns=${vm.gateway} ${timeFields(now())} seed=${randomSeed()} password=${vm.password}`,
    );
  }

  /** Sets the guest's wall clock. */
  clock(now: () => Moment): Promise<string | null> {
    return this.ask('ok clock', () => `clock ${timeFields(now())}`);
  }

  /** Called when the guest has booted or rebooted, or has its identity: its agent and its services then answer. */
  onServices(listener: () => void): Disposable {
    return this.services.on(listener);
  }

  /** Sets the size of the console's terminal, now and whenever the guest starts again; only the last size counts. */
  resize(size: ConsoleSize): void {
    this.size = size;
    if (this.sizeQueued) return;
    this.sizeQueued = true;
    void this.ask('ok size', () => {
      this.sizeQueued = false;
      return `size cols=${this.size?.cols ?? size.cols} rows=${this.size?.rows ?? size.rows}`;
    });
  }

  dispose(): void {
    this.listening.dispose();
    this.services.dispose();
    this.waiting?.settle(null);
  }

  /** Asks one question at a time. The line is built when it is sent, so that a time in it is current. */
  private ask(answer: string, line: () => string): Promise<string | null> {
    const asked = this.queue.then(
      () =>
        new Promise<string | null>((resolve) => {
          const limit = this.time.setTimeout(() => this.waiting?.settle(null), ANSWER_LIMIT_MS);
          this.waiting = {
            answer,
            settle: (heard) => {
              limit.dispose();
              this.waiting = null;
              resolve(heard);
            },
          };
          this.port.write(new TextEncoder().encode(`${line()}\n`));
        }),
    );
    this.queue = asked;
    return asked;
  }

  private heard(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === 0x0a || byte === 0x0d) {
        const line = this.line;
        this.line = '';
        if (this.waiting !== null && line.startsWith(this.waiting.answer)) this.waiting.settle(line);
        else if (line.startsWith('error ')) this.waiting?.settle(null);
        else if (line === BOOTED) void this.seed();
        else if (line === SERVICES_UP) {
          // The boot has set another size.
          if (this.size !== null) this.resize(this.size);
          this.services.emit(undefined);
        }
      } else if (this.line.length < MAX_LINE_CHARACTERS) {
        this.line += String.fromCharCode(byte);
      }
    }
  }
}
