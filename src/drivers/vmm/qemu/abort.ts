import type { Clock } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';

/** Waits for `work`, but no longer than until `signal` aborts: rejects with its reason then. The work itself goes on. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([aborted.promise, work]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * Runs `work` under a signal of its own that aborts after `limitMs` milliseconds: for what must be tried even when the
 * caller has gone. Throws `VMM_FAILED` with `what` when the time is over.
 */
export async function withDeadline<T>(
  clock: Clock,
  limitMs: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = clock.after(limitMs, () =>
    controller.abort(new DormouseError('VMM_FAILED', `${what}: no answer within ${limitMs} ms.`)),
  );
  try {
    return await unlessAborted(work(controller.signal), controller.signal);
  } finally {
    timer.cancel();
  }
}
