import type { Exclusive } from '../../drivers/disk/types.ts';

/**
 * The host's lane: device operations run one at a time, in the order asked. Two `dmsetup` or `losetup` at once see each
 * other's half-done work; in a row they do not. Copying data is not done in it: a long copy must not delay a create.
 */
export class Lane {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #current: string | undefined;

  /** Runs `operation` after all that were asked before it. An operation whose signal aborted while it waited is not begun. */
  readonly run: Exclusive = (label, operation, signal = new AbortController().signal) => {
    this.#waiting += 1;
    const result = this.#last.then(async () => {
      this.#waiting -= 1;
      signal.throwIfAborted();
      this.#current = label;
      try {
        return await operation(signal);
      } finally {
        this.#current = undefined;
      }
    });
    // The lane goes on whatever became of this one; its caller gets the error.
    this.#last = result.catch(() => {});
    return result;
  };

  /** What runs, by its label, and how many wait. For tests: no command tells it. */
  status(): { current: string | undefined; waiting: number } {
    return { current: this.#current, waiting: this.#waiting };
  }
}
