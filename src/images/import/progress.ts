import type { Clock } from '../../clock.ts';

/** A line of progress; of the form that a build's callers are told. */
export interface ImportProgress {
  /** What is being done: `checking`, `unpacking`, `making the file system`. */
  stage: string;
  /** Of the stage; null where there is nothing to count. */
  done_bytes: number | null;
  total_bytes: number | null;
  message?: string;
}

/** Least time between two lines of the same stage, in milliseconds. */
const INTERVAL_MS = 250;

/** Counts the bytes of one stage after the other, and tells of it at most four times a second, and when a stage begins. */
export class Progress {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #tell: (line: ImportProgress) => void;
  #stage = '';
  #doneBytes = 0;
  #totalBytes: number | null = null;
  #toldAtMs = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>, tell: (line: ImportProgress) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Begins a stage. `totalBytes`: how many it has; null where there is nothing to count. */
  begin(stage: string, totalBytes: number | null): void {
    this.#stage = stage;
    this.#doneBytes = 0;
    this.#totalBytes = totalBytes;
    this.#line();
  }

  /** So many bytes more of the stage are done. */
  advance(bytes: number): void {
    this.#doneBytes += bytes;
    if (this.#clock.monotonicMs() - this.#toldAtMs >= INTERVAL_MS) this.#line();
  }

  /** Tells a person something, beside the counting. */
  say(message: string): void {
    this.#tell({ ...this.#state(), message });
  }

  #line(): void {
    this.#toldAtMs = this.#clock.monotonicMs();
    this.#tell(this.#state());
  }

  #state(): ImportProgress {
    const counts = this.#totalBytes !== null;
    return {
      stage: this.#stage,
      done_bytes: counts ? this.#doneBytes : null,
      total_bytes: this.#totalBytes,
    };
  }
}
