/** Names of the mutable globals (all i32) that rewriteEmulator() adds to v86.wasm. */
export const TRACKING_GLOBALS = {
  /** Address of the byte map, one byte a page, non-zero = written. */
  mapAddress: 'tracking_map_address',
  /** Address of guest RAM. */
  ramBase: 'tracking_ram_base',
  /** Pages of guest RAM; 0 = mark nothing. */
  pageCount: 'tracking_page_count',
} as const;
