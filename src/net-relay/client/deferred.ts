/** A promise settled from outside; settling it again does nothing, and its rejection may go unhandled. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  private settle: { resolve: (value: T) => void; reject: (error: Error) => void } | null = null;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.promise.catch(() => undefined);
  }

  resolve(value: T): void {
    this.settle?.resolve(value);
  }

  reject(error: Error): void {
    this.settle?.reject(error);
  }
}
