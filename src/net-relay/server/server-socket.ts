/** A WebSocket as the relay sees it; made by web-socket-server.ts, by hand in tests. */
export interface ServerSocket {
  /** Bytes accepted by send…() that have not left yet. */
  readonly backlogBytes: number;
  /** `onSent`: called once, when the text was handed to the system's own buffers, or the socket broke. */
  sendText(text: string, onSent?: () => void): void;
  /** A text that is encoded already. It is not copied: nobody may change it any more. */
  sendUtf8(utf8: Uint8Array): void;
  sendBinary(bytes: Uint8Array): void;
  /** Stops reading until resume(): what the other side sends waits there. */
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
  /** Closes at once, without waiting for the other side. */
  terminate(): void;
}

export interface ServerSocketEvents {
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  /** Called once. `orderly`: the other side said goodbye, as a page does when it is closed or left. */
  closed(orderly: boolean): void;
}

/** Close codes; the private range. The reason beside them is for logs, the `refused` message for people. */
export const CloseCode = { refused: 4400, silent: 4408, replaced: 4409, tooSlow: 4429, goingAway: 1001, internal: 1011 } as const;
