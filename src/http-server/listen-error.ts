/** The server cannot open its port; the message says why and what to do. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

export function sentenceForListenError(error: Error, host: string, port: number): string {
  const code = 'code' in error ? error.code : undefined;
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} is taken by another program (perhaps TabMotion runs already). Stop that one, or choose another port: npm start -- --port ${port === 65_535 ? port - 1 : port + 1}`;
    case 'EACCES':
      return `This user may not open port ${port}. Choose one above 1023: npm start -- --port 8686`;
    case 'EADDRNOTAVAIL':
      return `This machine has no address ${host}. Give --host one of its own addresses, or 0.0.0.0 for all of them.`;
    case 'ENOTFOUND':
      return `--host ${host}: no address is known for this name.`;
    default:
      return `Port ${port} at ${host} cannot be opened: ${error.message}`;
  }
}
