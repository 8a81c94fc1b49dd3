/** Something open that can be closed once; closing it again does nothing. */
export interface Disposable {
  dispose(): void;
}

/** Wraps `close` so that it runs at most once. */
export function disposable(close: () => void): Disposable {
  let open = true;
  return {
    dispose() {
      if (!open) return;
      open = false;
      close();
    },
  };
}

/** Collects disposables and closes them together, last opened first. Adding to a closed bag closes at once. */
export class DisposableBag implements Disposable {
  private items: Disposable[] | null = [];

  add<T extends Disposable>(item: T): T {
    if (this.items === null) item.dispose();
    else this.items.push(item);
    return item;
  }

  dispose(): void {
    const items = this.items ?? [];
    this.items = null;
    for (const item of items.reverse()) item.dispose();
  }
}
