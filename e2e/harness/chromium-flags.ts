/**
 * Nothing that changes what a page can do: the sandbox is off because tests may run as root, the rest keeps the browser
 * from talking to anybody but our server.
 */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
] as const;
