/** What else can be plugged into a room's switch beside its gateway: a capture, and a TAP device. */
import type { Disposable } from '../../shared/disposable.ts';
import type { Lan } from '../lan/lan.ts';
import { Capture, type CaptureOptions } from './capture.ts';
import { createTapStation, type TapStation } from './tap-station.ts';

export interface PluggedCapture extends Disposable {
  readonly capture: Capture;
}

/** Starts to capture a room. Costs up to CaptureOptions.bytes of memory until it is disposed. */
export function plugCapture(lan: Lan, options: CaptureOptions): PluggedCapture {
  const capture = new Capture(options);
  const socket = lan.plug(capture, { tap: 'copy' });
  return {
    capture,
    dispose() {
      socket.dispose();
      capture.dispose();
    },
  };
}

export interface RoomTapOptions {
  /** At most 15 characters. */
  readonly device: string;
  /** The machine's own address on the LAN, e.g. `10.86.0.254/24`; null: set it elsewhere. */
  readonly address: string | null;
  /** False (no root): `onCommand` gets the line for a person to run. */
  readonly spawn: boolean;
  readonly onCommand?: (command: readonly string[]) => void;
  readonly log?: (line: string) => void;
}

/** Puts a TAP device on a room's switch. If the device cannot be made, that is logged, and the room goes on. */
export function plugTap(lan: Lan, options: RoomTapOptions): Disposable {
  let open = true;
  let station: TapStation | null = null;
  const socket = lan.plug({ receive: (frame) => station?.receive(frame) }, { uplink: true });
  createTapStation({ device: options.device, address: options.address, spawn: options.spawn, log: options.log, send: (frame) => socket.send(frame) }).then(
    (made) => {
      if (!open) {
        void made.dispose();
        return;
      }
      station = made;
      if (!options.spawn) options.onCommand?.(made.command);
    },
    (error: unknown) => options.log?.(error instanceof Error ? error.message : String(error)),
  );
  return {
    dispose() {
      open = false;
      socket.dispose();
      void station?.dispose();
    },
  };
}
