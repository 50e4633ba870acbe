import type { Clock, Timer } from '../../src/clock.ts';

/** A clock that stands still until the test moves it. */
export interface FakeClock extends Clock {
  /** Moves the time and fires, in order, what falls due. */
  advance(ms: number): void;
  /** In how many milliseconds each timer that is armed fires, soonest first. */
  armed(): number[];
}

export function fakeClock(startMs = 1_000_000): FakeClock {
  let now = startMs;
  const timers = new Set<{ atMs: number; fire: () => void }>();
  const inOrder = () => [...timers].sort((a, b) => a.atMs - b.atMs);
  const after = (delayMs: number, fire: () => void): Timer => {
    const timer = { atMs: now + delayMs, fire };
    timers.add(timer);
    return { cancel: () => void timers.delete(timer) };
  };
  return {
    nowMs: () => now,
    monotonicMs: () => now - startMs,
    after,
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const timer = after(delayMs, resolve);
        signal?.addEventListener('abort', () => {
          timer.cancel();
          reject(signal.reason);
        });
      }),
    advance(ms) {
      const end = now + ms;
      for (let next = inOrder()[0]; next && next.atMs <= end; next = inOrder()[0]) {
        timers.delete(next);
        now = Math.max(now, next.atMs);
        next.fire();
      }
      now = end;
    },
    armed: () => inOrder().map(({ atMs }) => atMs - now),
  };
}
