import type { FleetChange, Transition } from '../../lib/types.ts';

/** Transitions of all sandboxes in one list, newest first, from two sources. Nothing here needs a browser. */

export interface EventRow {
  id: string;
  seq: number;
  at: string;
  from: string | null;
  to: string;
  cause: string;
  step: string | null;
  stepMs: number | null;
  error: { code: string; detail: string; causes?: readonly string[] } | null;
}

/** Rows that the page keeps. */
export const ROWS_KEPT = 5_000;

export function keyOf({ id, seq }: { id: string; seq: number }): string {
  return `${id} ${seq}`;
}

/** One that the records have. */
export function ofTransition(transition: Transition): EventRow {
  const { sandbox_id, seq, at, from, to, cause, step, step_duration_ms, error } = transition;
  return { id: sandbox_id, seq, at, from, to, cause, step, stepMs: step_duration_ms, error };
}

/** One that the stream has told. */
export function ofChange(change: FleetChange): EventRow {
  const { id, seq, since, from, state, cause, step, step_duration_ms, error } = change;
  return { id, seq, at: since, from, to: state, cause, step, stepMs: step_duration_ms, error };
}

/** The changes that came after `last`, oldest first; all of them when it is not among them any more. */
export function changesAfter(
  changes: readonly FleetChange[],
  last: FleetChange | undefined,
): readonly FleetChange[] {
  return changes.slice(last === undefined ? 0 : changes.lastIndexOf(last) + 1);
}

/** Whether there may have been changes after `last` that are not among those that are kept. */
export function isCutOff(changes: readonly FleetChange[], last: FleetChange | undefined): boolean {
  return last !== undefined && !changes.includes(last);
}

/** Puts rows before the first one of `known`, or else at the beginning; those that are there already are left out. */
export function withNewer(
  rows: readonly EventRow[],
  newer: readonly EventRow[],
  known?: ReadonlySet<string>,
): EventRow[] {
  const present = new Set(rows.map(keyOf));
  const added = newer.filter((row) => !present.has(keyOf(row)));
  const place = known ? rows.findIndex((row) => known.has(keyOf(row))) : 0;
  return rows.toSpliced(Math.max(0, place), 0, ...added).slice(0, ROWS_KEPT);
}

/** Adds rows at the end; those that are there already are left out. */
export function withOlder(rows: readonly EventRow[], older: readonly EventRow[]): EventRow[] {
  const known = new Set(rows.map(keyOf));
  return [...rows, ...older.filter((row) => !known.has(keyOf(row)))].slice(0, ROWS_KEPT);
}

/** Whether a row passes the filter: all words of the text are in it. */
export function passes(row: EventRow, { text, isFailed }: { text: string; isFailed: boolean }): boolean {
  if (isFailed && row.error === null) return false;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const { id, from, to, cause, step, error } = row;
  const all = [id, from, to, cause, step, error?.code, error?.detail].join(' ').toLowerCase();
  return words.every((word) => all.includes(word));
}
