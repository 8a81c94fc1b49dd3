/**
 * The guest's wall clock: it shows the server's time, wherever the guest runs. It is set when the guest begins or
 * arrives, when it has rebooted, when the estimate of the server's clock changes, and from time to time, because the
 * guest's own clock is only as good as the host's.
 */
import type { Machine } from '../emulator-bridge/machine.ts';
import type { Clock } from '../shared/clock.ts';
import type { ServerTime } from '../net-relay/client/server-time.ts';
import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { GuestAgent, Moment } from './guest-agent.ts';

/** In this time a computer's clock with an error of 200 ppm, far more than usual, drifts by 6 ms. */
const AGAIN_MS = 30_000;
/** A new guest waits this long for the server's time. Without an answer it uses its host's time until one comes. */
const SERVER_LIMIT_MS = 2000;

export interface GuestWallClockOptions {
  readonly machine: Pick<Machine, 'timeStamp' | 'setRealTime' | 'state'>;
  readonly agent: Pick<GuestAgent, 'clock' | 'onServices'>;
  readonly serverTime: Pick<ServerTime, 'now' | 'onSet'>;
  readonly clock: Clock;
  /** The host's own wall clock. */
  readonly hostWallMs?: () => number;
}

export class GuestWallClock implements Disposable {
  private readonly options: Required<GuestWallClockOptions>;
  private readonly bag = new DisposableBag();
  private timer: Disposable | null = null;
  private begun = false;

  constructor(options: GuestWallClockOptions) {
    this.options = { hostWallMs: () => Date.now(), ...options };
    this.bag.add(options.serverTime.onSet.on(() => this.setIfBegun()));
    this.bag.add(options.agent.onServices(() => this.setIfBegun()));
  }

  /** This moment, for a line to the agent. Sets the real-time clock with it. */
  readonly moment = (): Moment => {
    const { machine, serverTime, hostWallMs } = this.options;
    const wallMs = serverTime.now() ?? hostWallMs();
    machine.setRealTime(wallMs);
    return { wallMs, timeStamp: machine.timeStamp() };
  };

  /** Resolves once the server's time is known, or when the wait for it has timed out. */
  known(): Promise<void> {
    const { serverTime, clock } = this.options;
    if (serverTime.now() !== null) return Promise.resolve();
    return new Promise((resolve) => {
      const bag = new DisposableBag();
      const done = (): void => {
        bag.dispose();
        resolve();
      };
      bag.add(serverTime.onSet.on(done));
      bag.add(clock.setTimeout(done, SERVER_LIMIT_MS));
    });
  }

  /** Call when the guest has its identity or has arrived: sets its clock, and keeps it set. Resolves with the agent's answer; null if there was none. */
  begin(): Promise<string | null> {
    this.begun = true;
    return this.set();
  }

  dispose(): void {
    this.begun = false;
    this.timer?.dispose();
    this.bag.dispose();
  }

  private set(): Promise<string | null> {
    const { clock, agent, machine } = this.options;
    this.timer?.dispose();
    this.timer = clock.setTimeout(() => void this.set(), AGAIN_MS);
    return machine.state === 'running' ? agent.clock(this.moment) : Promise.resolve(null);
  }

  private setIfBegun(): void {
    if (this.begun) void this.set();
  }
}
