/** Who uses things for a while, by the thing's id: as long as somebody does, it stays. */
export class Borrowers {
  readonly #borrowers = new Map<string, string[]>();

  /** Names `who` as a user of the thing until `use` has ended. */
  async lend<T>(id: string, who: string, use: () => Promise<T>): Promise<T> {
    this.#borrowers.set(id, [...this.of(id), who]);
    try {
      return await use();
    } finally {
      const left = this.of(id);
      left.splice(left.indexOf(who), 1);
      if (left.length > 0) this.#borrowers.set(id, left);
      else this.#borrowers.delete(id);
    }
  }

  /** Those who use it now. */
  of(id: string): string[] {
    return [...(this.#borrowers.get(id) ?? [])];
  }
}
