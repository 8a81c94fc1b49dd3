/** Why the guest could not be made ready. The message is a sentence that says what to do; the cause is for programs. */
export type GuestErrorCause =
  | 'host-tools-missing'
  | 'not-debian'
  | 'no-i386-kernel'
  | 'package-index'
  | 'package-download'
  | 'command-failed'
  | 'unexpected-content'
  | 'boot-failed'
  | 'not-found'
  | 'download-failed'
  | 'digest-mismatch'
  | 'version-mismatch'
  | 'bad-manifest'
  | 'not-built';

export class GuestError extends Error {
  readonly reason: GuestErrorCause;

  constructor(reason: GuestErrorCause, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GuestError';
    this.reason = reason;
  }
}
