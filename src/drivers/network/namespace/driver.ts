import type { Clock } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';
import type { Logger } from '../../../log.ts';
import type { NetworkDriver, Slot } from '../types.ts';
import { slotOf } from './layout.ts';
import { type Entry, Ledger } from './ledger.ts';
import { isMade, makeSlot, removeSlot } from './plumbing.ts';
import { SpareSlots } from './spares.ts';

export interface NamespaceDriverOptions {
  /** Whose slots these are: several hosts on one machine keep theirs apart by it. */
  hostId: string;
  /** Slots to keep ready. */
  spareSlots: number;
  /** Folder of the machine-wide ledger; the same for all hosts of a machine. */
  stateDir?: string;
  log: Logger;
  clock: Clock;
}

const STATE_DIR = '/run/dormouse';

/**
 * Network slots as namespaces (needs root). `acquire` takes a slot that is ready and writes one small file; making and
 * removing namespaces happens in the background. All errors are `NETWORK_FAILED`.
 */
export function createNamespaceDriver(options: NamespaceDriverOptions): NetworkDriver {
  return new NamespaceDriver(options);
}

class NamespaceDriver implements NetworkDriver {
  readonly kind = 'namespace';
  readonly #options: NamespaceDriverOptions;
  readonly #ledger: Ledger;
  readonly #spares: SpareSlots;
  readonly #held = new Map<string, Slot>();
  /** The last operation of each holder that has one under way: they run one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #started = false;

  constructor(options: NamespaceDriverOptions) {
    const { hostId, stateDir, clock, log } = options;
    this.#options = options;
    this.#ledger = new Ledger(stateDir ?? STATE_DIR, hostId, clock);
    this.#spares = new SpareSlots(this.#ledger, log, clock);
  }

  async start(holders: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    if (this.#started) return;
    const { clock, log, spareSlots } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      await this.#ledger.open();
      const found = await this.#ledger.own();
      for (const entry of found) {
        signal.throwIfAborted();
        if (entry.holder !== null && holders.has(entry.holder)) await this.#keep(entry, entry.holder);
        else this.#spares.discard(slotOf(entry.number));
      }
      await this.#spares.idle();
      this.#started = true;
      await this.#fillSpares(spareSlots, signal);
      log.info(
        { found: found.length, kept: this.#held.size, durationMs: clock.monotonicMs() - startedMs },
        'network slots ready',
      );
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  acquire(holder: string, signal: AbortSignal): Promise<Slot> {
    return this.#inTurn(holder, async () => {
      const held = this.#held.get(holder);
      if (held) return held;
      if (!this.#started) throw new DormouseError('NETWORK_FAILED', 'The network driver is not started.');
      const slot = await this.#spares.take(signal);
      try {
        await this.#ledger.setHolder(slot.number, holder);
      } catch (error) {
        this.#spares.discard(slot);
        throw error;
      }
      this.#held.set(holder, slot);
      return slot;
    });
  }

  release(holder: string): Promise<void> {
    return this.#inTurn(holder, async () => {
      const slot = this.#held.get(holder);
      if (!slot) return;
      await this.#ledger.setHolder(slot.number, null);
      this.#held.delete(holder);
      this.#spares.discard(slot);
    });
  }

  async list(): Promise<Array<{ slot: Slot; holder: string | undefined }>> {
    const entries = await this.#ledger.own();
    return entries
      .sort((a, b) => a.number - b.number)
      .map(({ number, holder }) => ({ slot: slotOf(number), holder: holder ?? undefined }));
  }

  async stop(): Promise<void> {
    this.#started = false;
    await this.#spares.stop();
    // What could not be removed before is tried once more.
    const held = new Set([...this.#held.values()].map((slot) => slot.number));
    for (const { number, holder } of await this.#ledger.own()) {
      if (holder === null && !held.has(number)) this.#spares.discard(slotOf(number));
    }
    await this.#spares.idle();
  }

  /** A virtual machine may run in the slot, so it stays as it is; one that is damaged is made again with its number. */
  async #keep({ number }: Entry, holder: string): Promise<void> {
    const slot = slotOf(number);
    if (!(await isMade(slot))) {
      this.#options.log.warn(
        { slot: slot.namespace, holder },
        'a held network slot is gone; making it again',
      );
      await removeSlot(slot);
      await makeSlot(slot);
    }
    this.#held.set(holder, slot);
  }

  /** Makes the first spare slots before anybody asks; that they cannot be made is then known at the start. */
  async #fillSpares(count: number, signal: AbortSignal): Promise<void> {
    const made = await Promise.allSettled(Array.from({ length: count }, () => this.#spares.take(signal)));
    const ready = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = made.find((one) => one.status === 'rejected');
    if (failed) {
      for (const slot of ready) this.#spares.discard(slot);
      throw failed.reason;
    }
    this.#spares.keepReady(ready, count);
  }

  /** Runs `operation` after all that were asked before it for the same holder. */
  async #inTurn<T>(holder: string, operation: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(holder) ?? Promise.resolve();
    const turn = before.then(operation, operation);
    const settled = turn.catch(() => {});
    this.#turns.set(holder, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(holder) === settled) this.#turns.delete(holder);
    }
  }
}
