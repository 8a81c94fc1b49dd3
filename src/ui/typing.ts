/** Types into a console; if the text is refused, calls `refused` with a sentence. */
export function attemptToType(write: () => void, refused: (error: Error) => void): void {
  try {
    write();
  } catch (error) {
    refused(error instanceof Error ? error : new Error(String(error)));
  }
}
