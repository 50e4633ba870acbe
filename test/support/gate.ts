/** A promise that the test settles, and a way to let everything run that waits for nothing else. */
export function gate<T = void>() {
  let open!: (value: T) => void;
  let fail!: (error: unknown) => void;
  const passed = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  // A gate may fail before anybody has come to it: who comes later learns of it all the same.
  passed.catch(() => {});
  return { passed, open, fail };
}

/** Resolves when all promises that were settled by now, and those that they settle, have been dealt with. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
