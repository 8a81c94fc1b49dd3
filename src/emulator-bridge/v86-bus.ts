/** The part of v86's event bus that the device adapters use. A name's listeners are called at once, in order. */
export interface BusLike {
  register(name: string, listener: (value: never) => void, self: unknown): void;
  unregister(name: string, listener: (value: never) => void): void;
  send(name: string, value?: unknown): void;
}
