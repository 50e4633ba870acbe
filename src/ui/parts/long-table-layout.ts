/** What of a long table is shown: the rows in sight, and the columns that there is room for. Nothing here needs a browser. */

/** Rows above and below what is in sight, so that a quick movement shows no gap. */
const BEYOND = 6;

/** Between columns, and beside the first and the last one, in rem; as in `tables.css`. */
const GAP_REM = 0.75;

interface RowWindow {
  /** First row that is drawn. */
  first: number;
  /** The row after the last one that is drawn. */
  end: number;
}

/**
 * The rows to draw. All have one height.
 *
 * @param scrollTop how far the table is scrolled, in pixels
 * @param height of what is in sight, in pixels
 */
export function rowWindow(count: number, rowHeight: number, scrollTop: number, height: number): RowWindow {
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + BEYOND);
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - BEYOND);
  return { first: Math.min(first, end), end };
}

export interface ColumnSize {
  /** Its least width, in rem. Not of its content: that would be another one in each row. */
  rem: number;
  /** Its share of what is left over. */
  grow?: number;
  /** Where there is no room for all, those with the largest rank are left out; one without a rank never is. */
  rank?: number;
}

/** The columns that there is room for, in their order. */
export function columnsThatFit<Column extends ColumnSize>(
  columns: readonly Column[],
  widthRem: number,
): Column[] {
  let left = widthRem - GAP_REM;
  const fitting = new Set<Column>();
  for (const column of columns.toSorted((one, other) => (one.rank ?? 0) - (other.rank ?? 0))) {
    left -= column.rem + GAP_REM;
    if (left < 0 && column.rank !== undefined) break;
    fitting.add(column);
  }
  return columns.filter((column) => fitting.has(column));
}

/** The columns as tracks of a grid. */
export function tracksOf(columns: readonly ColumnSize[]): string {
  return columns
    .map(({ rem, grow }) => (grow === undefined ? `${rem}rem` : `minmax(${rem}rem, ${grow}fr)`))
    .join(' ');
}
