import type { Clock } from '../clock.ts';
import type { Records, UsualDuration } from '../records/types.ts';

/** How long an answer is good for, in milliseconds: what is usual changes slowly, and asking looks at thousands of rows. */
const KEPT_MS = 30_000;
const TEAMS_MAX = 1_000;

/** How long sandboxes stay in each state, by team. Asked of the records once for all who ask within half a minute. */
export class UsualDurations {
  readonly #records: Pick<Records, 'usualDurations'>;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #kept = new Map<string, { askedMs: number; answer: Promise<UsualDuration[]> }>();

  constructor(records: Pick<Records, 'usualDurations'>, clock: Pick<Clock, 'monotonicMs'>) {
    this.#records = records;
    this.#clock = clock;
  }

  /** Throws `RECORDS_UNAVAILABLE`; then the next one asks again. */
  async of(teamId: string): Promise<UsualDuration[]> {
    const nowMs = this.#clock.monotonicMs();
    const kept = this.#kept.get(teamId);
    if (kept && nowMs - kept.askedMs < KEPT_MS) return await kept.answer;
    const asked = { askedMs: nowMs, answer: this.#records.usualDurations(teamId) };
    this.#kept.delete(teamId);
    this.#kept.set(teamId, asked);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > TEAMS_MAX && oldest !== undefined) this.#kept.delete(oldest);
    try {
      return await asked.answer;
    } catch (error) {
      if (this.#kept.get(teamId) === asked) this.#kept.delete(teamId);
      throw error;
    }
  }
}
