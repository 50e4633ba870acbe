import { type ReadonlySignal, useSignal } from '@preact/signals';
import { ApiError, type Problem } from './api.ts';

/** What a form sends: one thing at a time, since a second press would make a second one. */
export interface Sending {
  isSending: ReadonlySignal<boolean>;
  /** Why the last one failed. */
  problem: ReadonlySignal<Problem | undefined>;
  /** Does `work`, unless an earlier one is under way. What the server refuses becomes the problem; anything else is thrown on. */
  run(work: () => Promise<void>): Promise<void>;
}

export function useSending(): Sending {
  const isSending = useSignal(false);
  const problem = useSignal<Problem | undefined>(undefined);
  return {
    isSending,
    problem,
    async run(work) {
      if (isSending.peek()) return;
      isSending.value = true;
      problem.value = undefined;
      try {
        await work();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        problem.value = error.problem;
      } finally {
        isSending.value = false;
      }
    },
  };
}
