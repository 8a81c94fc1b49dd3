/**
 * QEMU 7.2 (TCG, `-cpu pentium3 -m 128`, the same kernel and disk, `migrate tcp:127.0.0.1` without a bandwidth cap) on a
 * quiet two-core machine, three runs each. Its pause is measured at its source, and its total leaves out starting the
 * target. The benchmark does not measure these figures again: they are there to compare orders of magnitude.
 */
export const QEMU_REFERENCE: readonly { readonly load: string; readonly pauseMs: string; readonly totalMs: string; readonly megabytes: string }[] = [
  { load: 'idle shell', pauseMs: '1-11', totalMs: '119-139', megabytes: '44.2' },
  { load: 'dd from urandom in a loop', pauseMs: '32-39', totalMs: '151-202', megabytes: '54-57' },
];
