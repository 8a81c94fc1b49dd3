/**
 * How the parts of the virtual LAN plug together: a station is anything with a socket on a room's switch (the gateway,
 * a VM's port, a TAP). Frames are Ethernet frames without checksum, never modified after they were handed over.
 */
export interface Station {
  /** The switch delivers one frame. Must not throw. */
  receive(frame: Uint8Array): void;
}

/** A station's own side of the socket. */
export interface StationSocket {
  /** Hands one frame to the switch, which delivers it to the other stations by MAC address. */
  send(frame: Uint8Array): void;
  dispose(): void;
}
