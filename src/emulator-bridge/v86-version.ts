/** The npm package's version, as pinned in package.json; it is part of a machine's fingerprint and of the guest set. */
export const V86_VERSION = '0.5.462';
