/** A list that stands still while somebody aims at it. Nothing here needs a browser. */

export interface HeldRows<Row> {
  /** Each where it was, as it is now. */
  rows: readonly Row[];
  /** Keys of those that do not belong to the list any more; they stay as they were last. */
  gone: ReadonlySet<string>;
  /** How many belong to it and are not shown, as they would come between the others. */
  waiting: number;
}

/** The rows of a list that nobody aims at. */
export function freeRows<Row>(rows: readonly Row[]): HeldRows<Row> {
  return { rows, gone: new Set(), waiting: 0 };
}

/**
 * The rows of a list that is held.
 *
 * @param shown what the list shows, in its order
 * @param now what belongs to it by now; what comes after all that is shown is added, for that moves nothing
 */
export function heldRows<Row>(
  shown: readonly Row[],
  now: readonly Row[],
  keyOf: (row: Row) => string,
): HeldRows<Row> {
  const byKey = new Map(now.map((row) => [keyOf(row), row]));
  const kept = new Set(shown.map(keyOf));
  const after = now.slice(now.findLastIndex((row) => kept.has(keyOf(row))) + 1);
  return {
    rows: [...shown.map((row) => byKey.get(keyOf(row)) ?? row), ...after],
    gone: new Set([...kept].filter((key) => !byKey.has(key))),
    waiting: now.length - after.length - [...kept].filter((key) => byKey.has(key)).length,
  };
}

/** What is held back, in words; empty when nothing is. */
export function heldText({ gone, waiting }: Pick<HeldRows<unknown>, 'gone' | 'waiting'>): string {
  return [waiting > 0 && `${waiting} new`, gone.size > 0 && `${gone.size} gone`].filter(Boolean).join(', ');
}
