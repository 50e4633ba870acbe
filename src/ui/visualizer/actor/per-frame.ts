/** Many events, taken over together when the browser draws: a history is read anew at most once in a frame. */

/** A page that is not shown has no frames; with so many waiting they are taken over without one. */
const WAITING_MAX = 1_000;

/** @returns `add` for each event, and `stop`, which forgets those that wait. */
export function perFrame<T>(take: (events: T[]) => void): { add(event: T): void; stop(): void } {
  let waiting: T[] = [];
  let frame = 0;
  const flush = (): void => {
    cancelAnimationFrame(frame);
    frame = 0;
    const events = waiting;
    waiting = [];
    take(events);
  };
  return {
    add(event) {
      waiting.push(event);
      if (waiting.length >= WAITING_MAX) flush();
      else if (frame === 0) frame = requestAnimationFrame(flush);
    },
    stop() {
      cancelAnimationFrame(frame);
      waiting = [];
    },
  };
}
