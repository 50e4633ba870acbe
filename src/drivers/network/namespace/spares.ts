import type { Clock, Timer } from '../../../clock.ts';
import { DormouseError, toDormouseError } from '../../../errors/index.ts';
import type { Logger } from '../../../log.ts';
import type { Slot } from '../types.ts';
import { slotOf } from './layout.ts';
import type { Ledger } from './ledger.ts';
import { isMade, isVacant, makeSlot, removeSlot } from './plumbing.ts';

/** Slots made, and removed, at once. The kernel does most of it under one lock (RTNL), so more would not be faster. */
const JOBS_MAX = 4;
/**
 * How long work for which nobody waits is put off, in milliseconds. Slots are taken and given back in the midst of a
 * resume or a pause, which should have the processors for themselves.
 */
const PUT_OFF_MS = 250;

interface Waiter {
  resolve(slot: Slot): void;
  reject(error: unknown): void;
}

/**
 * Slots that nobody holds: makes them ahead of time and removes them after use, both in the background. A used slot is
 * never handed on: its connection tracking, neighbours and whatever else the last guest caused go with its namespace.
 */
export class SpareSlots {
  readonly #ledger: Ledger;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #ready: Slot[] = [];
  readonly #waiting: Waiter[] = [];
  readonly #toRemove: Slot[] = [];
  readonly #jobs = new Set<Promise<void>>();
  #target = 0;
  #making = 0;
  #removing = 0;
  #putOff: Timer | undefined;

  constructor(ledger: Ledger, log: Logger, clock: Clock) {
    this.#ledger = ledger;
    this.#log = log;
    this.#clock = clock;
  }

  /** Begins to keep `count` slots ready, with these as the first. What is missing is made; it is not waited for. */
  keepReady(first: readonly Slot[], count: number): void {
    this.#target = count;
    for (const slot of first) this.#put(slot);
    this.#refill();
  }

  /**
   * A whole slot that nobody holds: one that is ready, else the next that is made.
   *
   * @throws `NETWORK_FAILED`; the signal's reason when it aborts first
   */
  async take(signal: AbortSignal): Promise<Slot> {
    signal.throwIfAborted();
    for (let slot = this.#ready.shift(); slot; slot = this.#ready.shift()) {
      if (await isMade(slot)) {
        this.#workLater();
        return slot;
      }
      this.#log.warn({ slot: slot.namespace }, 'a spare network slot was damaged by somebody; removing it');
      this.discard(slot);
    }
    return await new Promise((resolve, reject) => {
      const leave = (): void => {
        const at = this.#waiting.indexOf(waiter);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        resolve(slot) {
          signal.removeEventListener('abort', leave);
          resolve(slot);
        },
        reject(error) {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      };
      // The look at the spare ones above took a moment.
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiter);
      this.#refill();
    });
  }

  /** Removes the slot and gives its number back, in the background. What fails is logged and stays in the ledger. */
  discard(slot: Slot): void {
    this.#toRemove.push(slot);
    this.#workLater();
  }

  /** Ends all waiting, removes the ready ones, and returns when nothing goes on in the background. */
  async stop(): Promise<void> {
    const stopped = new DormouseError('NETWORK_FAILED', 'The network driver was stopped.');
    for (const waiter of this.#waiting.splice(0)) waiter.reject(stopped);
    this.#target = 0;
    for (const slot of this.#ready.splice(0)) this.discard(slot);
    await this.idle();
  }

  /** Does at once what was put off, and resolves when nothing goes on in the background. */
  async idle(): Promise<void> {
    this.#work();
    while (this.#jobs.size > 0) {
      await Promise.all(this.#jobs);
      this.#work();
    }
  }

  #workLater(): void {
    this.#putOff ??= this.#clock.after(PUT_OFF_MS, () => this.#work());
  }

  #work(): void {
    this.#putOff?.cancel();
    this.#putOff = undefined;
    this.#refill();
    while (this.#removing < JOBS_MAX && this.#toRemove.length > 0) {
      this.#removing += 1;
      this.#inBackground(this.#removeAll());
    }
  }

  #refill(): void {
    while (
      this.#making < JOBS_MAX &&
      this.#ready.length + this.#making < this.#target + this.#waiting.length
    ) {
      this.#making += 1;
      this.#inBackground(this.#makeOne());
    }
  }

  #put(slot: Slot): void {
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve(slot);
    else if (this.#ready.length < this.#target) this.#ready.push(slot);
    else this.discard(slot);
  }

  async #makeOne(): Promise<void> {
    try {
      const slot = await this.#make();
      this.#making -= 1;
      this.#put(slot);
    } catch (error) {
      this.#making -= 1;
      const waiter = this.#waiting.shift();
      waiter?.reject(error);
      // With nobody waiting it is tried again when somebody does, not now: it would fail again at once.
      if (!waiter) {
        this.#log.error({ err: error }, 'a spare network slot could not be made');
        return;
      }
    }
    this.#refill();
  }

  async #make(): Promise<Slot> {
    const slot = slotOf(await this.#ledger.take((number) => isVacant(slotOf(number))));
    try {
      await makeSlot(slot);
      return slot;
    } catch (error) {
      await this.#remove(slot);
      throw toDormouseError(error, 'NETWORK_FAILED', `The network slot ${slot.number} could not be made.`);
    }
  }

  async #removeAll(): Promise<void> {
    for (let slot = this.#toRemove.shift(); slot; slot = this.#toRemove.shift()) await this.#remove(slot);
    this.#removing -= 1;
  }

  async #remove(slot: Slot): Promise<void> {
    try {
      await removeSlot(slot);
      await this.#ledger.free(slot.number);
    } catch (error) {
      this.#log.error(
        { err: error, slot: slot.namespace },
        'a network slot could not be removed; it is tried again at the next stop or start',
      );
    }
  }

  #inBackground(job: Promise<void>): void {
    this.#jobs.add(job);
    void job.finally(() => this.#jobs.delete(job));
  }
}
