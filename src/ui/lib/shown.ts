/** Whether anybody can see the page: a browser says so when its tab or window is covered, and when it is not any more. */

/** Resolves when the page can be seen, or when `signal` aborts. */
export function untilShown(signal: AbortSignal): Promise<void> {
  if (!document.hidden || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const look = (): void => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener('visibilitychange', look);
      signal.removeEventListener('abort', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', look);
  });
}

/**
 * A signal that aborts with `outer`, and when the page could not be seen for so long without a break.
 *
 * @param ms milliseconds
 */
export function hiddenWatch(
  outer: AbortSignal,
  ms: number,
): { signal: AbortSignal; readonly isOver: boolean; stop(): void } {
  const over = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = (): void => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => over.abort(), ms);
  };
  document.addEventListener('visibilitychange', look);
  look();
  return {
    signal: AbortSignal.any([outer, over.signal]),
    get isOver() {
      return over.signal.aborted;
    },
    stop() {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', look);
    },
  };
}
