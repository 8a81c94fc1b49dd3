/** The guest's parts as the page loads them once and posts them to every VM worker. */
import type { GuestManifest } from '../emulator-bridge/guest-manifest.ts';

export interface GuestSet {
  readonly manifest: GuestManifest;
  readonly emulator: WebAssembly.Module;
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
  /** The base snapshot as it was served (compressed). */
  readonly snapshot: Uint8Array;
  readonly diskUrl: string;
  readonly diskChunkDigests: Uint8Array;
}
