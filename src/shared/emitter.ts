import { disposable, type Disposable } from './disposable.ts';

/** A typed event with any number of listeners. If one listener throws, the others still hear the event. */
export class Emitter<T> implements Disposable {
  private readonly listeners = new Set<(value: T) => void>();

  on(listener: (value: T) => void): Disposable {
    // Wrapped, so that the same function may listen twice and each disposal removes its own.
    const entry = (value: T): void => listener(value);
    this.listeners.add(entry);
    return disposable(() => this.listeners.delete(entry));
  }

  emit(value: T): void {
    let failure: { error: unknown } | null = null;
    for (const listener of [...this.listeners]) {
      try {
        listener(value);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }

  get listenerCount(): number {
    return this.listeners.size;
  }

  dispose(): void {
    this.listeners.clear();
  }
}
