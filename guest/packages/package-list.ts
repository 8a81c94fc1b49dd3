/** The packages of the guest by name; their versions are those that the machine's own package sources offer. */

/** Depends on the kernel's real, versioned package. */
export const KERNEL_META_PACKAGE = 'linux-image-686';

export const PACKAGES = [
  'busybox-static',
  'seabios',
  'dropbear-bin',
  'lua5.4',
  // Shared libraries of the two above; the recipe checks that none is missing.
  'libc6',
  'libcrypt1',
  'libtomcrypt1',
  'libtommath1',
  'libgmp10',
  'zlib1g',
  'libreadline8',
  'libtinfo6',
  // Terminal descriptions for them.
  'ncurses-base',
] as const;
