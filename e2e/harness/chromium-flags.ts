/**
 * Where tests share two cores, WebAssembly is compiled once and quickly: compiling it anew with all its art takes longer
 * than the guest's own work in a test's few seconds, and changes nothing but that. scripts/test.ts asks for it.
 */
const SPARING = process.env['TABMOTION_SPARING'] === '1';

/**
 * Nothing that changes what a page can do: the sandbox is off because tests may run as root, the rest keeps the browser
 * from talking to anybody but our server.
 */
export const CHROMIUM_FLAGS: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  ...(SPARING ? ['--js-flags=--liftoff-only'] : []),
];
