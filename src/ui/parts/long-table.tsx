import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { count } from '../lib/format.ts';
import { heldText } from '../lib/held-rows.ts';
import { useHeldRows } from '../lib/use-held-rows.ts';
import { type ColumnSize, columnsThatFit, rowWindow, tracksOf } from './long-table-layout.ts';

/** A table of any length: only the rows in sight are in the document. All rows have one height, so nothing moves. */

export interface Column<Row> extends ColumnSize {
  id: string;
  title: string;
  cell(row: Row): ComponentChildren;
  align?: 'end';
  isMono?: boolean;
  /** Its place in the two lines of a row on a narrow screen; without it is not shown there. */
  narrow?: 1 | 2 | 3 | 4;
  /** Whether the rows are in its order, when one can choose. */
  sort?: 'ascending' | 'descending' | 'none';
  onSort?: () => void;
}

interface LongTableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf(row: Row): string;
  /** Shown when there is no row. */
  empty: ComponentChildren;
  /** Something to be said of all of it, below the rows. */
  note?: string;
  /** What the reader has asked for, such as a filter: with another one the rows may stand elsewhere, whoever aims at one. */
  asked?: string;
  /** Called when the end of the table comes into sight, and with each turn while it is. */
  onEnd?: () => void;
  /** Counts what `onEnd` has brought, also where a filter leaves no row of it. */
  turn?: number;
}

const ROW_HEIGHT = 30;
const NARROW_ROW_HEIGHT = 52;
/** In rem. */
const NARROW_BELOW = 44;

export function LongTable<Row>(props: LongTableProps<Row>): JSX.Element {
  const { label, keyOf, empty, asked, onEnd, turn = 0 } = props;
  const body = useRef<HTMLTableSectionElement>(null);
  const { rows, gone, waiting, release } = useHeldRows(body, props.rows, keyOf, asked);
  const { width, height, scrollTop, onScroll } = useSight(body);
  const isNarrow = width < NARROW_BELOW;
  const rowHeight = isNarrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT;
  const columns = isNarrow ? narrowColumns(props.columns) : columnsThatFit(props.columns, width);
  const tracks = isNarrow ? 'minmax(0, 1fr) auto' : tracksOf(columns);
  const { first, end } = rowWindow(rows.length, rowHeight, scrollTop, height);
  const isEndInSight = end === rows.length;
  useEffect(() => {
    if (isEndInSight) onEnd?.();
  }, [isEndInSight, turn, onEnd]);
  return (
    <table class="long-table" aria-label={label} aria-rowcount={rows.length + 1} data-narrow={isNarrow}>
      <Head columns={columns} tracks={tracks} isHidden={isNarrow} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <tbody ref={body} tabIndex={0} onScroll={onScroll} onKeyDown={moveBetweenRows}>
        {rows.slice(first, end).map((row, index) => (
          <tr
            key={keyOf(row)}
            aria-rowindex={first + index + 2}
            data-gone={gone.has(keyOf(row))}
            style={{
              height: `${rowHeight}px`,
              transform: `translateY(${(first + index) * rowHeight}px)`,
              gridTemplateColumns: tracks,
            }}
          >
            {columns.map((column) => (
              <td
                key={column.id}
                data-column={column.id}
                data-align={isNarrow ? narrowAlign(column) : column.align}
                data-mono={column.isMono}
              >
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
        <tr class="long-table-space" aria-hidden={rows.length > 0}>
          <td style={{ height: `${rows.length * rowHeight}px` }}>
            {rows.length === 0 && <div class="empty">{empty}</div>}
          </td>
        </tr>
      </tbody>
      <Foot rows={rows.length} note={props.note ?? ''} held={heldText({ gone, waiting })} onShow={release} />
    </table>
  );
}

/** How long the table is, and what is held back while somebody aims at a row. */
function Foot({
  rows,
  note,
  held,
  onShow,
}: {
  rows: number;
  note: string;
  held: string;
  onShow: () => void;
}): JSX.Element {
  return (
    <tfoot>
      <tr>
        <td class="dim">
          {count(rows)} {rows === 1 ? 'row' : 'rows'}
          {note && `. ${note}`}
        </td>
        <td data-align="end">
          {held !== '' && (
            <button type="button" data-size="row" onClick={onShow}>
              {held} – show
            </button>
          )}
        </td>
      </tr>
    </tfoot>
  );
}

function Head<Row>({
  columns,
  tracks,
  isHidden,
}: {
  columns: readonly Column<Row>[];
  tracks: string;
  isHidden: boolean;
}): JSX.Element {
  return (
    <thead class={isHidden ? 'visually-hidden' : undefined}>
      <tr aria-rowindex={1} style={{ gridTemplateColumns: tracks }}>
        {columns.map(({ id, title, align, sort, onSort }) => (
          <th key={id} scope="col" data-align={align} aria-sort={sort}>
            {onSort && !isHidden ? (
              <button type="button" onClick={onSort}>
                {align === 'end' && <SortMark sort={sort} />}
                {title}
                {align !== 'end' && <SortMark sort={sort} />}
              </button>
            ) : (
              title
            )}
          </th>
        ))}
      </tr>
    </thead>
  );
}

/** On a narrow screen a row has two lines, each with something at its beginning and something at its end. */
function narrowAlign<Row>({ narrow = 1 }: Column<Row>): 'end' | undefined {
  return narrow % 2 === 0 ? 'end' : undefined;
}

/** Its place is kept while the rows are in another order. */
function SortMark({ sort }: { sort: Column<unknown>['sort'] }): JSX.Element {
  return (
    <span aria-hidden="true">{sort === 'descending' ? '↓' : sort === 'ascending' ? '↑' : '\u2007'}</span>
  );
}

function narrowColumns<Row>(columns: readonly Column<Row>[]): Column<Row>[] {
  return columns
    .filter(({ narrow }) => narrow !== undefined)
    .sort((one, other) => (one.narrow ?? 0) - (other.narrow ?? 0));
}

function remPx(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}

/** How much of the table is in sight: its width in rem, the rest in pixels. */
function useSight(body: { current: HTMLElement | null }) {
  const [sight, setSight] = useState({ width: 0, height: 0, scrollTop: 0 });
  useLayoutEffect(() => {
    const element = body.current;
    if (!element) return;
    const measure = (): void =>
      setSight((before) => ({
        ...before,
        width: element.clientWidth / remPx(),
        height: element.clientHeight,
      }));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const onScroll = (event: { currentTarget: HTMLElement }): void => {
    const { scrollTop } = event.currentTarget;
    setSight((before) => ({ ...before, scrollTop }));
  };
  return { ...sight, onScroll };
}

/** The arrow keys move the focus from the link of a row to that of the next one. */
function moveBetweenRows(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const row = (event.target as Element).closest('tr');
  if (step === undefined || !row) return;
  const next = Number(row.getAttribute('aria-rowindex')) + step;
  const link = row.parentElement?.querySelector<HTMLElement>(`[aria-rowindex="${next}"] a`);
  if (!link) return;
  event.preventDefault();
  link.focus();
  link.scrollIntoView({ block: 'nearest' });
}
