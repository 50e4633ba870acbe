import type { Logger } from '../../log.ts';
import type { Transition } from './next-record.ts';

/** One line for each transition: what happened, for which command, by which step, and how long the step took. */
export function logTransition(log: Logger, transition: Transition<unknown>): void {
  const { seq, from, to, cause, commandId, step, stepDurationMs, error } = transition;
  const line = {
    seq,
    from,
    to,
    cause,
    ...(commandId && { command: commandId }),
    ...(step && { step, ms: stepDurationMs }),
    ...(error && { error }),
  };
  if (error) log.warn(line, 'transition');
  else log.info(line, 'transition');
}

/** What a timer is called as a cause: `xstate.after.backOff.sandbox.stranded` is a timeout; a named timer keeps its name. */
export function timerCause(timer: string): string {
  return timer.startsWith('xstate.after.') ? 'timeout' : timer;
}
