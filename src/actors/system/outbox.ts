import type { Clock, Timer } from '../../clock.ts';
import { hasCode, messageOf } from '../../errors/index.ts';
import type { Logger } from '../../log.ts';
import type { EventSink } from './ports.ts';

const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 10_000;
/** How many events wait at most: they are part of the journal, which is written as a whole at each transition. */
const WAITING_MAX = 1_000;

/**
 * Hands an actor's events to the stream, in order, until each is acknowledged. The events themselves are kept in the
 * actor's journal: after a crash those that were not acknowledged are handed over again, and the stream drops what it
 * has by the event's id. Dropped are only the oldest of more than a thousand, and what can never be stored; both are logged, and
 * the gap shows in the numbers of those that come after.
 */
export class Outbox<Event> {
  readonly #sink: EventSink<Event>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #acknowledged: (event: Event) => void;
  readonly #waiting: Event[];
  #sending = false;
  readonly #lingerMs: number;
  #retry: Timer | undefined;
  #linger: Timer | undefined;
  #tries = 0;
  #closed = false;
  #empty: Array<() => void> = [];
  #sent: Promise<void> = Promise.resolve();

  /**
   * @param acknowledged called for each event that the stream has; the journal may then drop it
   * @param lingerMs how long a new event may wait for those that follow, in milliseconds: publishing and projecting an
   * event cost processor time, which an operation of a few tens of milliseconds that is under way needs more
   */
  constructor(
    sink: EventSink<Event>,
    waiting: readonly Event[],
    ports: { clock: Clock; log: Logger },
    acknowledged: (event: Event) => void,
    lingerMs = 0,
  ) {
    this.#sink = sink;
    this.#waiting = [...waiting];
    this.#clock = ports.clock;
    this.#log = ports.log;
    this.#acknowledged = acknowledged;
    this.#lingerMs = lingerMs;
    this.#pump();
  }

  /** Adds an event that is already in the journal. */
  push(event: Event): void {
    this.#waiting.push(event);
    while (this.#waiting.length > WAITING_MAX) this.#dropOldest();
    if (this.#lingerMs === 0) this.#pump();
    else this.#linger ??= this.#clock.after(this.#lingerMs, () => this.#lingered());
  }

  /** Resolves when every event was acknowledged; rejects with the signal's reason when it aborts first. */
  flushed(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    if (signal.aborted) return Promise.reject(signal.reason);
    this.#pump();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#empty = this.#empty.filter((one) => one !== done);
        reject(signal.reason);
      };
      const done = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      this.#empty.push(done);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Sends what only waited for company, once, and then stops as `close` does. */
  async finish(): Promise<void> {
    if (this.#linger) this.#pump();
    await this.#sent;
    this.close();
  }

  /** Stops sending. What is not acknowledged stays in the journal. */
  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
    this.#linger?.cancel();
  }

  #dropOldest(): void {
    // The first one may be on its way.
    const [dropped] = this.#waiting.splice(this.#sending ? 1 : 0, 1);
    this.#log.error({ waiting: this.#waiting.length }, 'the oldest event of a full outbox is dropped');
    if (dropped !== undefined) this.#acknowledged(dropped);
  }

  /** Returns when the stream has the event, or never will. */
  async #append(event: Event): Promise<void> {
    try {
      await this.#sink.append(event);
    } catch (error) {
      if (!(error instanceof RangeError || hasCode(error, 'PAYLOAD_TOO_LARGE'))) throw error;
      this.#log.error({ err: messageOf(error) }, 'an event that can never be stored is dropped');
    }
  }

  #lingered(): void {
    // It has fired, also when an event is under way and there is nothing to begin: the next event arms it anew.
    this.#linger = undefined;
    this.#pump();
  }

  #pump(): void {
    if (this.#sending || this.#closed) return;
    this.#sending = true;
    this.#retry?.cancel();
    this.#linger?.cancel();
    this.#linger = undefined;
    this.#sent = this.#send().then(() => {
      if (this.#waiting.length === 0) for (const resolve of this.#empty.splice(0)) resolve();
    });
  }

  async #send(): Promise<void> {
    try {
      for (let event = this.#waiting[0]; event !== undefined && !this.#closed; event = this.#waiting[0]) {
        await this.#append(event);
        this.#tries = 0;
        this.#waiting.shift();
        this.#acknowledged(event);
      }
    } catch (error) {
      this.#tries += 1;
      const delayMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.#tries - 1, 10));
      if (this.#tries === 1)
        this.#log.warn({ waiting: this.#waiting.length, err: messageOf(error) }, 'events wait in the outbox');
      if (!this.#closed) this.#retry = this.#clock.after(delayMs, () => this.#pump());
    } finally {
      // In the same turn in which the loop found nothing more: an event that comes next must not think it still runs.
      this.#sending = false;
    }
  }
}
