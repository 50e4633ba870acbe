import type { Inspection } from '../actors/system/inspection.ts';
import type { WatchTarget } from '../bus/subjects.ts';
import { watchInspections } from '../bus/watch.ts';
import type { Clock, Timer } from '../clock.ts';
import { messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import type { EventStream } from './event-stream.ts';
import type { EdgePorts } from './ports.ts';

/** Inspections that wait for those before them, and refusals that wait. What comes beyond that is read again, or left out. */
const EARLY_MAX = 256;
const REFUSALS_MAX = 100;
/** How long one that is missing is waited for, and how often it is asked for, in milliseconds. */
const MISSING_MS_MAX = 10_000;
const ASK_AGAIN_MS = 200;
/** How often the history is asked even so, in milliseconds: messages may be lost, and what is inferred is told by nobody. */
const RECHECK_MS = 15_000;

/** An actor that is followed. */
export interface Followed {
  target: WatchTarget;
  /**
   * What happened after that number as far as it is known, oldest first.
   *
   * @returns `isAll`: whether there is no further page
   */
  history(afterSeq: number): Promise<{ inspections: Inspection[]; isAll: boolean }>;
  /** Whether nothing can come after it. */
  isLast(inspection: Inspection): boolean;
  /** As the caller sees it. */
  present(inspection: Inspection): Inspection;
}

/**
 * Sends what happens to an actor after `afterSeq`, each transition once and without gaps, until nobody reads any more or its end
 * has come: from its history, then live. Event `inspection`, with the number as its id; last, event `end`. Refused commands have
 * no id and come after the transition that they follow.
 */
export async function followActor(
  { bus, clock, log }: Pick<EdgePorts, 'bus' | 'clock' | 'log'>,
  followed: Followed,
  afterSeq: number,
  stream: EventStream,
): Promise<void> {
  const follower = new Follower(clock, log, followed, afterSeq, stream);
  // First: nothing must happen between the history and what comes live.
  const watch = watchInspections(bus, clock, followed.target, (inspection) => follower.take(inspection));
  try {
    await follower.run();
  } finally {
    watch.close();
  }
}

class Follower {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #followed: Followed;
  readonly #stream: EventStream;
  /** Those that came before one of a lower number did. */
  readonly #early = new Map<number, Inspection>();
  #refusals: Inspection[] = [];
  #last: number;
  #lastAt = '';
  #isOver = false;
  /** Whether the history may have something that was not sent. */
  #isBehind = true;
  #missingSinceMs: number | undefined;
  #woken = Promise.withResolvers<void>();

  constructor(clock: Clock, log: Logger, followed: Followed, afterSeq: number, stream: EventStream) {
    this.#clock = clock;
    this.#log = log;
    this.#followed = followed;
    this.#last = afterSeq;
    this.#stream = stream;
  }

  /** Takes what comes live. */
  take(inspection: Inspection): void {
    const { seq, refused, at } = inspection;
    if (refused !== null) {
      if (this.#refusals.length < REFUSALS_MAX) this.#refusals.push(inspection);
      if (seq > this.#last) this.#isBehind = true;
    } else if (seq <= this.#last) {
      // Of an actor without a journal the numbers begin anew with its process.
      if (this.#lastAt === '' || at <= this.#lastAt) return;
      this.#isBehind = true;
    } else if (this.#early.size < EARLY_MAX) this.#early.set(seq, inspection);
    else this.#isBehind = true;
    this.#woken.resolve();
  }

  async run(): Promise<void> {
    const { signal } = this.#stream;
    const wake = (): void => this.#woken.resolve();
    signal.addEventListener('abort', wake, { once: true });
    let recheck: Timer | undefined;
    const recheckLater = (): void => {
      recheck = this.#clock.after(RECHECK_MS, () => {
        this.#isBehind = true;
        wake();
        recheckLater();
      });
    };
    recheckLater();
    try {
      while (!signal.aborted) {
        await this.#sendEarly();
        if (this.#isBehind || this.#early.size > 0) await this.#catchUp();
        else this.#sendRefusals();
        if (this.#isOver) return this.#sendEnd();
        if (this.#isBehind || this.#early.size > 0 || this.#refusals.length > 0) continue;
        await this.#woken.promise;
        this.#woken = Promise.withResolvers();
      }
    } finally {
      recheck?.cancel();
    }
  }

  /** Sends those that are next. */
  async #sendEarly(): Promise<void> {
    for (;;) {
      const next = this.#early.get(this.#last + 1);
      if (!next) return;
      await this.#send(next);
    }
  }

  /** Sends what the history has, one page of it. */
  async #catchUp(): Promise<void> {
    this.#isBehind = false;
    const { inspections, isAll } = await this.#historyAfter(this.#last);
    for (const inspection of inspections) await this.#send(inspection);
    if (!isAll) this.#isBehind = true;
    if (inspections.length > 0) this.#missingSinceMs = undefined;
    else if (this.#early.size > 0 && !this.#early.has(this.#last + 1)) await this.#waitForMissing();
  }

  async #historyAfter(seq: number): ReturnType<Followed['history']> {
    try {
      return await this.#followed.history(seq);
    } catch (error) {
      // It is asked again soon enough; what comes live goes on.
      this.#log.debug({ reason: messageOf(error) }, 'the history of an actor cannot be read now');
      return { inspections: [], isAll: true };
    }
  }

  /** Waits before the history is asked again. One that does not come at all is left out at last. */
  async #waitForMissing(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    this.#missingSinceMs ??= nowMs;
    if (nowMs - this.#missingSinceMs >= MISSING_MS_MAX) {
      this.#last = Math.min(...this.#early.keys()) - 1;
      this.#missingSinceMs = undefined;
    } else await this.#clock.sleep(ASK_AGAIN_MS, this.#stream.signal).catch(() => undefined);
  }

  async #send(inspection: Inspection): Promise<void> {
    const { seq, at } = inspection;
    this.#stream.send({
      event: 'inspection',
      id: String(seq),
      data: this.#followed.present(inspection),
    });
    this.#last = seq;
    this.#lastAt = at;
    for (const early of this.#early.keys()) if (early <= seq) this.#early.delete(early);
    this.#isOver ||= this.#followed.isLast(inspection);
    await this.#stream.ready();
  }

  #sendRefusals(): void {
    for (const refusal of this.#refusals)
      if (this.#stream.hasRoom)
        this.#stream.send({ event: 'inspection', data: this.#followed.present(refusal) });
    this.#refusals = [];
  }

  #sendEnd(): void {
    this.#sendRefusals();
    this.#stream.send({ event: 'end', data: { seq: this.#last } });
    this.#stream.end();
  }
}
