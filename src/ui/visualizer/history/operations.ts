import type { Entries } from './entries.ts';
import { timeOf } from './entries.ts';
import { isFailure, type Rules } from './rules.ts';

/** Transitions from one rest to the next: what a command, a timer or an accident has set off. Numbers are indexes of entries. */
export interface Operation {
  first: number;
  /** The last one that is known, also when it goes on. */
  last: number;
  /** What began it, as in an inspection. */
  cause: string;
  /** Where it went wrong first; null when nothing did. */
  failure: number | null;
  /** Whether it is still under way. */
  open: boolean;
}

/** The operations in a history, oldest first. What was refused at rest belongs to none. */
export function operationsOf(entries: Entries, rules: Rules): Operation[] {
  const found: Operation[] = [];
  let current: Operation | undefined;
  for (const [index, entry] of entries.entries()) {
    if (entry.refused !== null) continue;
    if (current === undefined || entry.from === null || rules.rests.has(entry.from)) {
      if (current) current.open = false;
      current = { first: index, last: index, cause: entry.cause, failure: null, open: true };
      found.push(current);
    }
    current.last = index;
    current.open = !rules.rests.has(entry.to);
    if (current.failure === null && isFailure(entry, rules)) current.failure = index;
  }
  return found;
}

/** The operation that an entry belongs to, or else the last one before it; undefined when there is none. */
export function operationAt(operations: readonly Operation[], index: number): Operation | undefined {
  let low = 0;
  let high = operations.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((operations[middle]?.first ?? 0) <= index) low = middle + 1;
    else high = middle;
  }
  return operations[low - 1];
}

/** Milliseconds from its first transition to its last. */
export function durationOf({ first, last }: Operation, entries: Entries): number {
  const [begin, end] = [entries[first], entries[last]];
  return begin && end ? timeOf(end) - timeOf(begin) : 0;
}
