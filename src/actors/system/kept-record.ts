import type { Timer } from '../../clock.ts';
import { messageOf } from '../../errors/index.ts';
import type { ActorRecord, Journal } from './journal.ts';
import type { ActorPorts } from './ports.ts';
import { forget } from './step.ts';

/** How often a journal that could not be written is tried again, in milliseconds. */
const RETRY_MS = 500;

/** An actor's record, in memory and in the journal. Once it is closed, the journal may be a successor's: nothing changes any more. */
export class KeptRecord<Context> {
  readonly #journal: Journal;
  readonly #ports: ActorPorts;
  #current: ActorRecord<Context>;
  #retry: Timer | undefined;
  #closed = false;
  /** Events that the stream has. A record that was made before it had them still names them. */
  readonly #published = new WeakSet<object>();
  #lastWrite: Promise<unknown> = Promise.resolve();

  constructor(current: ActorRecord<Context>, journal: Journal, ports: ActorPorts) {
    this.#current = current;
    this.#journal = journal;
    this.#ports = ports;
  }

  get current(): ActorRecord<Context> {
    return this.#current;
  }

  /**
   * Makes `next` the record, in the journal first.
   *
   * `strict`: when the journal cannot be written, nothing has changed and the error is thrown. Otherwise (a step has
   * ended: there is no way back) the record is kept in memory and written as soon as it can be. That is safe because steps
   * are idempotent: a successor that begins from the older record repeats them.
   *
   * `durable`: the record must outlive a power cut (see `journal.ts`).
   */
  save(
    next: ActorRecord<Context>,
    { strict, durable }: { strict: boolean; durable: boolean },
  ): Promise<void> {
    return this.#inTurn(() => this.#write(next, strict, durable));
  }

  /** Lets the record outlive a power cut too, soon. Nobody waits for it. */
  settle(): void {
    void this.#inTurn(() => this.#write(this.#current, false, true));
  }

  /** Takes a resource off the ledger. */
  release(kind: string): Promise<void> {
    return this.#inTurn(() =>
      this.#write({ ...this.#current, ledger: forget(this.#current.ledger, [kind]) }, false, false),
    );
  }

  /** Drops an event that the stream has. Written with the next save: until then a successor would send it again, and the stream drops it. */
  published(event: unknown): void {
    this.#published.add(event as object);
    this.#current = this.#withoutPublished(this.#current);
  }

  /** A timer has fired. Written with what it causes. */
  fired(timer: string): void {
    const { [timer]: _fired, ...timers } = this.#current.timers;
    this.#current = { ...this.#current, timers };
  }

  /** Takes no further writes. Resolves when those that it has taken are over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await this.#lastWrite;
  }

  #saveLater(error: unknown): void {
    if (this.#closed) return;
    this.#ports.log.error(
      { err: messageOf(error) },
      'the journal cannot be written; the actor goes on and tries again',
    );
    this.#retry?.cancel();
    this.#retry = this.#ports.clock.after(RETRY_MS, () => {
      void this.#inTurn(() => this.#write(this.#current, false, true));
    });
  }

  /** One write after the other: of two at once, the older record could be the one that stays. */
  #inTurn(write: () => Promise<void>): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const result = this.#lastWrite.then(write);
    this.#lastWrite = result.catch(() => {});
    return result;
  }

  async #write(next: ActorRecord<Context>, strict: boolean, durable: boolean): Promise<void> {
    try {
      await this.#journal.save(this.#withoutPublished(next), durable);
    } catch (error) {
      if (strict) throw error;
      this.#saveLater(error);
    }
    this.#current = this.#withoutPublished(next);
  }

  #withoutPublished(record: ActorRecord<Context>): ActorRecord<Context> {
    const { outbox } = record;
    if (!outbox.some((event) => this.#published.has(event as object))) return record;
    return { ...record, outbox: outbox.filter((event) => !this.#published.has(event as object)) };
  }
}
