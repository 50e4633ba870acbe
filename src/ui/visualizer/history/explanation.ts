import type { Inspection } from '../../../actors/system/inspection.ts';
import type { Entries } from './entries.ts';
import type { Operation } from './operations.ts';

/** Why an operation failed, and what came of it. */
export interface Explanation {
  /** What was asked for, such as `pause`. */
  operation: string;
  /** Index of the entry in which it failed. */
  index: number;
  failed: Inspection;
  error: NonNullable<Inspection['error']>;
  /** States on the way back, the one that it ended in last. */
  back: string[];
  /** Errors on the way back, such as an undo that failed, too. */
  later: Inspection[];
  /** The last state that is known of it. */
  outcome: string;
  /** Whether the way back goes on. */
  open: boolean;
}

/**
 * Explains a failed operation as far as it had come at a moment.
 *
 * @param until index of the entry that is looked at: what came after it is not known yet
 * @returns null when nothing had gone wrong until then
 */
export function explain(entries: Entries, operation: Operation, until: number): Explanation | null {
  const { failure } = operation;
  if (failure === null || failure > until) return null;
  const failed = entries[failure];
  if (!failed?.error) return null;
  const last = Math.min(operation.last, until);
  const transitions = entries.slice(failure, last + 1).filter(({ refused }) => refused === null);
  return {
    operation: operation.cause,
    index: failure,
    failed,
    error: failed.error,
    back: transitions.map(({ to }) => to),
    later: transitions.slice(1).filter(({ error }) => error !== null),
    outcome: transitions.at(-1)?.to ?? failed.to,
    open: operation.open || last < operation.last,
  };
}

/** The newest operation that had failed by then; undefined when none had. */
export function lastFailed(operations: readonly Operation[], until: number): Operation | undefined {
  return operations.findLast(({ failure }) => failure !== null && failure <= until);
}

/** One sentence for people who hear the page. */
export function announce(entry: Inspection): string {
  const { from, to, cause, error, refused } = entry;
  if (refused !== null) return `${refused} was refused in ${to}`;
  if (error !== null && from !== null) return `${from} failed: ${error.code} ${error.detail}; now ${to}`;
  return from === null || from === to ? `now ${to} (${cause})` : `${from} to ${to} (${cause})`;
}
