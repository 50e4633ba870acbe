import type { Clock } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';
import { unlessAborted } from '../../../unless-aborted.ts';

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
