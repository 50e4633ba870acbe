import type { StepEnd, StepRun } from './run-step.ts';

/** The steps of an actor that are being carried out, by the invoke that began them. */
export class RunningSteps {
  readonly #runs = new Map<string, StepRun>();

  /** Keeps a run and calls `ended` with its end, unless the state was left before. An earlier run of the same invoke is not heard any more. */
  add(invokeId: string, run: StepRun, ended: (end: StepEnd) => void): void {
    this.#runs.set(invokeId, run);
    void run.settled.then((end) => this.#runs.get(invokeId) === run && ended(end));
  }

  /** Takes the run off, when its end is dealt with. False when the state was left meanwhile. */
  take(invokeId: string, run: StepRun): boolean {
    return this.#runs.get(invokeId) === run && this.#runs.delete(invokeId);
  }

  /** The state was left: the run is asked to end, and its end is not reported. */
  leave(invokeId: string, reason: unknown): void {
    this.#runs.get(invokeId)?.abort(reason);
    this.#runs.delete(invokeId);
  }

  /** The caller has gone: what is done for its sake is asked to end; undo goes on. */
  abortForward(reason: unknown): void {
    for (const run of this.#runs.values()) if (run.direction === 'forward') run.abort(reason);
  }

  /** Asks all to end and resolves when they have. */
  async abortAll(reason: unknown): Promise<void> {
    const runs = [...this.#runs.values()];
    for (const run of runs) run.abort(reason);
    await Promise.all(runs.map((run) => run.settled));
  }
}
