/**
 * Which sandboxes have a disk that is flattened right now. The devices for that have one name for each sandbox, so one is flattened after
 * the other; and devices of that name that nobody uses are left of one that could not give them back.
 */
export class Flattenings {
  readonly #last = new Map<string, Promise<unknown>>();

  isUnderWay(sandboxId: string): boolean {
    return this.#last.has(sandboxId);
  }

  /** Runs `work` when all others of that sandbox have ended. */
  async take<T>(sandboxId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(sandboxId);
    const mine = (async () => {
      await before;
      return await work();
    })();
    const ended = mine.catch(() => {});
    this.#last.set(sandboxId, ended);
    try {
      return await mine;
    } finally {
      if (this.#last.get(sandboxId) === ended) this.#last.delete(sandboxId);
    }
  }
}
