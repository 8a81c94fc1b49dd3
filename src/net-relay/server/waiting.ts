/** The sockets with the most waiting bytes; without them, the waiting bytes of all others are within the limit. */
export function tooMuchWaiting<T extends { readonly waitingBytes: number }>(sockets: Iterable<T>, limitBytes: number): readonly T[] {
  const all = [...sockets].map((socket) => ({ socket, bytes: socket.waitingBytes }));
  let waiting = all.reduce((sum, { bytes }) => sum + bytes, 0);
  const most: T[] = [];
  if (waiting <= limitBytes) return most;
  for (const { socket, bytes } of all.sort((a, b) => b.bytes - a.bytes)) {
    if (waiting <= limitBytes) break;
    waiting -= bytes;
    most.push(socket);
  }
  return most;
}
