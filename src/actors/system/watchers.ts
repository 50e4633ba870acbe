/** Those who wait until an actor has come to where they want it. */
export class Watchers {
  readonly #changed = new Set<() => void>();

  /** Asks everybody again whether what they wait for is there. */
  notify(): void {
    for (const changed of [...this.#changed]) changed();
  }

  /** Resolves when `reached` is true; it is asked now and at each `notify`. Rejects with the signal's reason, or what `reached` throws. */
  async until(reached: () => boolean, signal: AbortSignal): Promise<void> {
    while (!reached()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#changed.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#changed.add(done);
        signal.addEventListener('abort', done, { once: true });
      });
    }
  }
}
