/** A timer that can be taken back. `cancel` may be called any number of times. */
export interface Timer {
  cancel(): void;
}

/**
 * The only source of time. Actors, drivers and the bus take one as a parameter, so that the simulation can stand
 * time still and tests need no real waiting.
 */
export interface Clock {
  /** Wall-clock time, in milliseconds since the epoch. May jump. For records and deadlines that outlive a process. */
  nowMs(): number;
  /** Time since an arbitrary start, in milliseconds with fractions. Never goes back. For durations. */
  monotonicMs(): number;
  /** Calls `fire` once, after `delayMs`. */
  after(delayMs: number, fire: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason as soon as `signal` aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Runs `work` under a signal of its own, which aborts after `limitMs`. For an undo, which must not inherit the signal of what
 * failed, and for whatever has no caller that could go away.
 */
export async function within<T>(
  clock: Pick<Clock, 'after'>,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = clock.after(limitMs, () =>
    controller.abort(new Error(`it was not done after ${limitMs} ms`)),
  );
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
  }
}

/** Longest delay that Node's timers take, in milliseconds; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The real clock. Delays beyond 24 days are waited out in pieces. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, fire) {
    let handle: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const next = Math.min(leftMs, MAX_TIMER_MS);
      handle = setTimeout(() => (leftMs > next ? arm(leftMs - next) : fire()), Math.max(0, next));
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const leave = (): void => {
        timer.cancel();
        reject(signal?.reason);
      };
      const timer = systemClock.after(delayMs, () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      });
      signal?.addEventListener('abort', leave, { once: true });
    });
  },
};
