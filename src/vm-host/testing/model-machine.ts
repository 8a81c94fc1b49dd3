/** A machine for a VM's worker in tests: the model PC, with an agent that answers and a guest that can power itself off. */
import type { Machine, MachineEnd, MachineState, NetworkCard, Screen, SerialPort } from '../../emulator-bridge/machine.ts';
import { ModelVm } from '../../migration/testing/model-vm.ts';
import type { SeededRandom } from '../../migration/testing/seeded-random.ts';
import type { Host } from '../../migration/testing/world.ts';
import { disposable, type Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import type { MacAddress } from '../../shared/ids.ts';

export class ModelMachine extends ModelVm implements Machine {
  readonly console: SerialPort = new QuietPort();
  readonly agent: SerialPort = new AnsweringPort();
  readonly network: NetworkCard = new IdleCard(() => this.running);
  readonly screen: Screen = { attach: () => undefined, text: () => null, sendScancodes: () => undefined, sendMouse: () => undefined };
  end: MachineEnd | null = null;
  private readonly states = new Emitter<MachineState>();

  constructor(host: Host, random: SeededRandom) {
    super({ host, random, space: { ramPages: 12, videoPages: 2, diskPages: 6 } });
  }

  get state(): MachineState {
    return this.end !== null ? 'powered-off' : this.running ? 'running' : 'stopped';
  }

  /** The guest powers itself off, if it executes. */
  powerOff(): void {
    if (!this.running || this.discarded || this.end !== null) return;
    this.running = false;
    this.end = { kind: 'switched-off', sentence: 'The guest powered off.' };
    this.states.emit('powered-off');
  }

  override async pause(): Promise<void> {
    await super.pause();
    if (this.end !== null) throw new Error('The machine is powered off.');
  }

  override async resume(): Promise<void> {
    if (this.end !== null) throw new Error('The machine is powered off.');
    await super.resume();
  }

  override discard(): void {
    super.discard();
    this.states.dispose();
  }

  onState(listener: (state: MachineState) => void): Disposable {
    return this.states.on(listener);
  }

  onTrouble(): Disposable {
    return disposable(() => undefined);
  }

  scrollback(): Uint8Array {
    return new Uint8Array();
  }

  loadBaseSnapshot(): void {
    // Its memory begins empty.
  }

  restoreBaseDevices(): void {
    // A model has nothing to rehearse.
  }

  timeStamp(): bigint {
    return BigInt(this.counter);
  }

  setRealTime(): void {
    // Nothing here reads it.
  }

  reset(): void {
    throw new Error('Nobody resets a model.');
  }

  instructionCount(): number {
    return this.counter;
  }
}

class QuietPort implements SerialPort {
  readonly room = 1 << 16;
  protected readonly data = new Emitter<Uint8Array>();

  /** Nobody reads what is typed. */
  write: SerialPort['write'] = () => undefined;

  onData(listener: (bytes: Uint8Array) => void): Disposable {
    return this.data.on(listener);
  }
}

/** Says yes to every line (guest/AGENT.md). */
class AnsweringPort extends QuietPort {
  override write = (bytes: Uint8Array): void => {
    for (const line of new TextDecoder().decode(bytes).split('\n')) {
      if (line !== '') this.data.emit(new TextEncoder().encode(`ok ${line.split(' ')[0] ?? ''}\n`));
    }
  };
}

/** Takes every frame while the machine runs, and sends none. */
class IdleCard implements NetworkCard {
  mac = '02:5a:00:00:00:00' as MacAddress;
  private readonly runs: () => boolean;

  constructor(runs: () => boolean) {
    this.runs = runs;
  }

  setMac(mac: MacAddress): void {
    this.mac = mac;
  }

  deliver(): boolean {
    return this.runs();
  }

  onFrame(): Disposable {
    return disposable(() => undefined);
  }

  onReady(): Disposable {
    return disposable(() => undefined);
  }
}
