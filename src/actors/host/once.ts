import { DormouseError, mayRetry } from '../../errors/index.ts';
import type { CommandContext } from '../system/command.ts';
import { fingerprintOf } from '../system/fingerprint.ts';

/** How many outcomes are remembered. */
const REMEMBERED = 128;

/**
 * Makes a command that arrives twice be done once: the second waits for the first, or gets its outcome. For commands that are no
 * events of a machine, whose replies the journal keeps.
 */
export class Once {
  readonly #done = new Map<string, { fingerprint: string; outcome: Promise<unknown>; isOver: boolean }>();

  /**
   * @param name of the command; with the body it tells whether an id that comes again is the same request
   * @throws `IDEMPOTENCY_KEY_REUSED` when it is another; what `work` throws. That of a caller who went away is not remembered,
   * nor one that asks for the same request again: what `work` did is undone then, or found again by its next run.
   */
  async run<T>(name: string, body: unknown, context: CommandContext, work: () => Promise<T>): Promise<T> {
    const fingerprint = fingerprintOf(name, body);
    const known = this.#done.get(context.commandId);
    if (known && known.fingerprint !== fingerprint)
      throw new DormouseError(
        'IDEMPOTENCY_KEY_REUSED',
        'This key belongs to another request. Use a new key for a new request.',
      );
    if (known) return (await known.outcome) as T;
    const entry = { fingerprint, outcome: work() as Promise<unknown>, isOver: false };
    this.#done.set(context.commandId, entry);
    try {
      return (await entry.outcome) as T;
    } catch (error) {
      if (context.signal.aborted || mayRetry(error)) this.#done.delete(context.commandId);
      throw error;
    } finally {
      entry.isOver = true;
      this.#forget();
    }
  }

  #forget(): void {
    const over = [...this.#done].filter(([, { isOver }]) => isOver);
    for (const [commandId] of over.slice(0, -REMEMBERED)) this.#done.delete(commandId);
  }
}
