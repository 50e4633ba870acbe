import type { SandboxTransition } from '../actors/sandbox/protocol.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../log.ts';

/** How often progress is logged, in milliseconds. */
const REPORT_EVERY_MS = 60_000;

/** What the projector did since the last report, and how far it is behind. */
export class ProgressReport {
  readonly #clock: Clock;
  readonly #log: Logger;
  #stored = 0;
  #repeated = 0;
  #skipped = 0;
  /** Longest time from a transition to its record, in milliseconds. */
  #lagMs = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Logs now and then, when there is something to tell. Returns an undo that logs the rest. */
  start(): () => void {
    let timer: Timer;
    const arm = (): void => {
      timer = this.#clock.after(REPORT_EVERY_MS, () => {
        this.#tell();
        arm();
      });
    };
    arm();
    return () => {
      timer.cancel();
      this.#tell();
    };
  }

  stored(transition: SandboxTransition, isNew: boolean): void {
    const lagMs = Math.max(0, this.#clock.nowMs() - Date.parse(transition.at));
    this.#lagMs = Math.max(this.#lagMs, lagMs);
    if (isNew) this.#stored += 1;
    else this.#repeated += 1;
    this.#log.debug(
      { sandbox: transition.sandbox_id, seq: transition.seq, isNew, lagMs },
      'stored a transition',
    );
  }

  skipped(): void {
    this.#skipped += 1;
  }

  #tell(): void {
    if (this.#stored + this.#repeated + this.#skipped > 0)
      this.#log.info(
        {
          stored: this.#stored,
          repeated: this.#repeated,
          skipped: this.#skipped,
          lagMs: this.#lagMs,
        },
        'events were projected',
      );
    this.#stored = this.#repeated = this.#skipped = this.#lagMs = 0;
  }
}
