import { effect, type ReadonlySignal, signal } from '@preact/signals';

/**
 * A signal that follows another one, but changes at most once in so many milliseconds: for work that is too much for every
 * frame, and for order that must not change while one looks for something. Call `stop` when nobody needs it any more.
 */
export function sampled<T>(
  source: ReadonlySignal<T>,
  everyMs: number,
): { sample: ReadonlySignal<T>; stop(): void } {
  const sample = signal(source.peek());
  let timer: ReturnType<typeof setTimeout> | undefined;
  const unsubscribe = effect(() => {
    const next = source.value;
    if (next === sample.peek()) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      sample.value = source.peek();
    }, everyMs);
  });
  return {
    sample,
    stop() {
      unsubscribe();
      clearTimeout(timer);
    },
  };
}
