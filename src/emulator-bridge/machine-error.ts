/** Everything that can go wrong around the emulated PC, by name. Each message says what happened and the way out. */
export type MachineErrorCode =
  /** The disk image's server answers without Range: only whole images, which the page refuses to load. */
  | 'disk-without-range'
  /** The answer's range or length is not what was asked for. */
  | 'disk-wrong-range'
  /** Bytes of the disk image do not have the digest the manifest promises. */
  | 'disk-altered'
  /** The server has no such disk image. */
  | 'disk-missing'
  /** The server refused or failed (any other status). */
  | 'disk-refused'
  /** No connection to the disk's server. */
  | 'disk-unreachable'
  /** The disk's server accepted the request and went silent. */
  | 'disk-silent'
  /** A read outside the image. */
  | 'disk-out-of-bounds'
  /** A block that was asked for is not in the overlay. */
  | 'disk-block-absent'
  /** Reads or writes were still in flight when the time to drain was over. */
  | 'disk-not-drained'
  /** The disk was closed while somebody waited for it. */
  | 'disk-closed'
  | 'manifest-unreachable'
  | 'manifest-invalid'
  /** The guest set was made for another version of v86 than this page's. */
  | 'emulator-version'
  /** The emulator module does not compile. */
  | 'emulator-invalid'
  | 'artefact-missing'
  | 'artefact-unreachable'
  | 'artefact-silent'
  /** Size or digest of an artefact is not the manifest's. */
  | 'artefact-altered'
  /** A part given to createMachine does not fit: memory size, or no room for it. */
  | 'parts-invalid'
  /** This v86 lacks a member the bridge relies on. */
  | 'emulator-changed'
  /** The network card's address was set after the guest's driver had read it. */
  | 'mac-too-late'
  /** Saved queues or device state that do not fit. */
  | 'state-invalid'
  /** The machine is in a state in which this cannot be done (running, stopped, discarded). */
  | 'machine-state'
  /** The guest did not do what it should within its time. */
  | 'guest-silent';

export class MachineError extends Error {
  override readonly name = 'MachineError';
  readonly code: MachineErrorCode;

  constructor(code: MachineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
