import { DormouseError, type ErrorRecord, toDormouseError } from '../../errors/index.ts';
import { aroundStep, faultPoint } from '../../fault-points.ts';
import type { ActorPorts } from './ports.ts';
import type { LedgerEntry, Step } from './step.ts';

/** How long a step that was aborted may take to end, before it is counted as failed all the same. */
const ABORT_GRACE_MS = 5_000;

export type StepEnd =
  | { ok: true; output: unknown; durationMs: number }
  | { ok: false; error: ErrorRecord; durationMs: number };

/** A step that is being carried out. */
export interface StepRun {
  readonly direction: 'forward' | 'undo';
  /** Resolves when the step has ended, one way or the other. Never rejects. */
  readonly settled: Promise<StepEnd>;
  /** Asks the step to end. The first reason counts. */
  abort(reason: unknown): void;
}

/**
 * Runs a step under its time limit. A step that does not end after it was aborted is given up after a grace: the
 * machine must go on. What it still does then is repeated or undone by idempotent steps.
 */
export function runStep<Input>(
  step: Step<Input, unknown>,
  input: Input,
  {
    ports,
    ledger,
    released,
  }: { ports: ActorPorts; ledger: readonly LedgerEntry[]; released: (kind: string) => Promise<void> },
): StepRun {
  const { clock, log } = ports;
  const controller = new AbortController();
  const startedMs = clock.monotonicMs();
  let isSettled = false;
  // What was given up and ends after all must not take off the ledger what a later step holds.
  const releasedInTime = (kind: string): Promise<void> => (isSettled ? Promise.resolve() : released(kind));
  const elapsed = (): number => Math.round((clock.monotonicMs() - startedMs) * 100) / 100;

  const work = (async (): Promise<StepEnd> => {
    try {
      faultPoint(`${step.name} begins`);
      const output = await aroundStep(step.name, controller.signal, () =>
        step.run(input, { signal: controller.signal, log, ledger, released: releasedInTime }),
      );
      faultPoint(`${step.name} done`);
      return { ok: true, output, durationMs: elapsed() };
    } catch (error) {
      return { ok: false, error: errorOf(step.name, error, controller.signal), durationMs: elapsed() };
    }
  })();

  const settled = new Promise<StepEnd>((resolve) => {
    const limit = Number.isFinite(step.timeoutMs)
      ? clock.after(step.timeoutMs, () =>
          controller.abort(
            new DormouseError('STEP_TIMEOUT', `${step.name} was not done after ${step.timeoutMs} ms.`),
          ),
        )
      : undefined;
    const giveUp = (): void => {
      const grace = clock.after(ABORT_GRACE_MS, () =>
        resolve({
          ok: false,
          error: errorOf(step.name, controller.signal.reason, controller.signal),
          durationMs: elapsed(),
        }),
      );
      void work.then(() => grace.cancel());
    };
    controller.signal.addEventListener('abort', giveUp, { once: true });
    void work.then((end) => {
      limit?.cancel();
      resolve(end);
    });
  });

  void settled.then(() => {
    isSettled = true;
  });
  return { direction: step.direction, settled, abort: (reason) => controller.abort(reason) };
}

/** The error of a step: why it was aborted if it was, else what it threw. */
function errorOf(name: string, thrown: unknown, signal: AbortSignal): ErrorRecord {
  if (signal.aborted && signal.reason instanceof DormouseError) {
    const cause = thrown === signal.reason ? undefined : thrown;
    return new DormouseError(signal.reason.code, signal.reason.detail, {
      data: signal.reason.data,
      cause,
    }).toRecord();
  }
  return toDormouseError(thrown, 'STEP_FAILED', `${name} failed.`).toRecord();
}
