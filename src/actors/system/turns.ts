import { DormouseError } from '../../errors/index.ts';

/** One operation after the other, in the order asked, with a bound on those that wait. */
export class Turns {
  readonly #bound: number;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(bound: number) {
    this.#bound = bound;
  }

  /** Runs `operation` when all before it have ended. Throws `MAILBOX_FULL`. */
  take<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#waiting >= this.#bound) {
      return Promise.reject(
        new DormouseError('MAILBOX_FULL', `${this.#bound} messages wait already. Try again in a moment.`),
      );
    }
    this.#waiting += 1;
    const result = this.#last.then(() => {
      this.#waiting -= 1;
      return operation();
    });
    this.#last = result.catch(() => {});
    return result;
  }
}
