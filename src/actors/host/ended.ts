import type { Clock } from '../../clock.ts';
import { DormouseError, type ErrorRecord } from '../../errors/index.ts';

/** How long an end is remembered, in milliseconds: longer than a create may be on its way. */
const KEPT_MS = 600_000;

/**
 * The sandboxes that have ended a while ago. A create that comes late, or again, must not make one a second time that was destroyed
 * or that failed: the records know of its end, and would not believe the beginning of another.
 */
export class EndedSandboxes {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #ended = new Map<string, { atMs: number; error: ErrorRecord | null }>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** @param error why its create failed; null for one that was destroyed */
  add(id: string, error: ErrorRecord | null): void {
    const now = this.#clock.monotonicMs();
    for (const [other, { atMs }] of this.#ended) {
      // In the order in which they ended.
      if (now - atMs < KEPT_MS) break;
      this.#ended.delete(other);
    }
    this.#ended.set(id, { atMs: now, error });
  }

  /** @throws why the create failed; `SANDBOX_NOT_FOUND` for one that was destroyed */
  check(id: string): void {
    const end = this.#ended.get(id);
    if (!end) return;
    if (end.error) throw DormouseError.fromRecord(end.error);
    throw new DormouseError('SANDBOX_NOT_FOUND', `The sandbox ${id} was made and has been destroyed.`);
  }
}
