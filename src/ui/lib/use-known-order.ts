import { useRef } from 'preact/hooks';

/** Rows in the order in which the page has come to know them: what comes while it is open stands at the end, and moves no other. */
export function useKnownOrder<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Row[] {
  const { current: places } = useRef(new Map<string, number>());
  for (const row of rows) if (!places.has(keyOf(row))) places.set(keyOf(row), places.size);
  const placeOf = (row: Row): number => places.get(keyOf(row)) ?? 0;
  return rows.toSorted((one, other) => placeOf(one) - placeOf(other));
}
