/**
 * What two hosts must have in common before a VM may move between them. Compared field by field, so that a refusal
 * can say in words what differs.
 */
export interface Fingerprint {
  readonly v86Version: string;
  /** Digest of the rewritten v86.wasm. */
  readonly emulatorDigest: string;
  readonly memoryBytes: number;
  readonly videoMemoryBytes: number;
  readonly diskBytes: number;
  /** Devices with state, sorted, e.g. `ide uart0 uart1 vga virtio-net`. */
  readonly devices: readonly string[];
  readonly diskDigest: string;
  readonly snapshotDigest: string;
}
