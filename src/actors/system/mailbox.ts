import { DormouseError } from '../../errors/index.ts';

/**
 * One message at a time, in the order of arrival, with a bound. Messages of the actor's own (a step that ended, a timer)
 * are never refused: refusing one would wedge the machine. Their number is not bounded here, but there are few: the ends of the state's
 * steps, its timers, and what the host and programs tell, each of which waits for its answer.
 */
export class Mailbox {
  readonly #waiting: Array<() => Promise<void>> = [];
  readonly #bound: number;
  #foreign = 0;
  #running: Promise<void> | undefined;

  /** @param bound how many messages from outside may wait */
  constructor(bound: number) {
    this.#bound = bound;
  }

  /** Runs `handle` after all messages before it. Throws `MAILBOX_FULL` when too many wait already. */
  post<T>(handle: () => Promise<T>): Promise<T> {
    if (this.#foreign >= this.#bound) {
      return Promise.reject(
        new DormouseError('MAILBOX_FULL', `${this.#bound} messages wait already. Try again in a moment.`),
      );
    }
    this.#foreign += 1;
    return this.#enqueue(async () => {
      this.#foreign -= 1;
      return await handle();
    });
  }

  /** Like `post`, for the actor's own messages: never refused. */
  postOwn<T>(handle: () => Promise<T>): Promise<T> {
    return this.#enqueue(handle);
  }

  /** Resolves when nothing waits and nothing runs. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  #enqueue<T>(handle: () => Promise<T>): Promise<T> {
    const result = new Promise<T>((resolve, reject) => {
      this.#waiting.push(async () => {
        try {
          resolve(await handle());
        } catch (error) {
          reject(error);
        }
      });
    });
    this.#running ??= this.#drain();
    return result;
  }

  async #drain(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) await next();
    this.#running = undefined;
  }
}
