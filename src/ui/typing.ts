/** Types into a console; that it was not taken is told with a sentence. */
export function attemptToType(write: () => void, refused: (error: Error) => void): void {
  try {
    write();
  } catch (error) {
    refused(error instanceof Error ? error : new Error(String(error)));
  }
}
