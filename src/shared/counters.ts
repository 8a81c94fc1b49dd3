/** Counts by name. Names come from the code, never from the network, so their number is bounded. */
export class Counters<Name extends string> {
  private readonly counts = new Map<Name, number>();

  add(name: Name, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  get(name: Name): number {
    return this.counts.get(name) ?? 0;
  }

  get total(): number {
    let total = 0;
    for (const count of this.counts.values()) total += count;
    return total;
  }

  toJSON(): Partial<Record<Name, number>> {
    return Object.fromEntries(this.counts) as Partial<Record<Name, number>>;
  }
}
