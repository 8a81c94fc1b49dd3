/**
 * Memory that all connections of a gateway may use together for buffers larger than their first size. A connection
 * starts with small buffers, which are always granted; a connection that moves much data asks for more.
 */
export class BufferBudget {
  private left: number;

  constructor(bytes: number) {
    this.left = bytes;
  }

  reserve(bytes: number): boolean {
    if (bytes > this.left) return false;
    this.left -= bytes;
    return true;
  }

  release(bytes: number): void {
    this.left += bytes;
  }

  get available(): number {
    return this.left;
  }
}

/** A buffer's permitted size: doubles on request, as long as the budget allows. */
export class GrowingLimit {
  bytes: number;
  private readonly first: number;
  private readonly most: number;
  private readonly budget: BufferBudget;

  constructor(first: number, most: number, budget: BufferBudget) {
    this.first = first;
    this.most = most;
    this.bytes = first;
    this.budget = budget;
  }

  grow(): boolean {
    if (this.bytes * 2 > this.most || !this.budget.reserve(this.bytes)) return false;
    this.bytes *= 2;
    return true;
  }

  release(): void {
    this.budget.release(this.bytes - this.first);
    this.bytes = this.first;
  }
}
