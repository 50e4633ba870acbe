import { type ReadonlySignal, type Signal, useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo } from 'preact/hooks';
import { ApiError, type Problem } from '../../lib/api.ts';
import { fleet } from '../../lib/live.ts';
import { sampled } from '../../lib/sampled.ts';
import type { FleetChange } from '../../lib/types.ts';
import { wait } from '../../lib/wait.ts';
import { LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { eventColumns } from './columns.tsx';
import './events.css';
import {
  changesAfter,
  type EventRow,
  isCutOff,
  keyOf,
  ofChange,
  passes,
  ROWS_KEPT,
  withNewer,
  withOlder,
} from './feed.ts';
import { loadNewer, loadPage } from './pages.ts';

/** New rows come at most this often, so that one can read. */
const NEW_EVERY_MS = 250;
const RETRY_MS = 3_000;

/** What happens to the sandboxes of the team, live, and what happened before. */
export function Events(): JSX.Element {
  const rows = useSignal<readonly EventRow[]>([]);
  const text = useSignal('');
  const isFailed = useSignal(false);
  const isHeld = useSignal(false);
  const filter = useComputed(() => ({ text: text.value, isFailed: isFailed.value }));
  const { problem, onEnd, pages, isAll } = useOlder(rows);
  useNewer(rows, isHeld);
  const shown = useComputed(() => rows.value.filter((row) => passes(row, filter.value)));
  return (
    <section class="page" data-fill>
      <div class="page-head">
        <h1 tabIndex={-1}>Events</h1>
        <search class="events-search">
          <input
            type="search"
            aria-label="Find by sandbox, state, cause, step or error"
            placeholder="Find sandbox, state, cause, step, error"
            value={text.value}
            spellcheck={false}
            onInput={(event) => {
              text.value = event.currentTarget.value;
            }}
          />
        </search>
        <div class="actions">
          <Toggle label="Only failures" isOn={isFailed} />
          <Toggle label="Hold" isOn={isHeld} />
        </div>
      </div>
      {problem.value && <ProblemNote problem={problem.value} onRetry={onEnd} />}
      <LongTable
        key={`${text.value} ${isFailed.value}`}
        label="Transitions of all sandboxes, newest first"
        columns={eventColumns}
        rows={shown.value}
        keyOf={keyOf}
        onEnd={onEnd}
        turn={pages.value}
        empty={emptyText(isAll.value, rows.value.length)}
      />
    </section>
  );
}

function emptyText(isAll: boolean, count: number): string {
  if (isAll) return 'Nothing has happened that passes the filter.';
  return count < ROWS_KEPT ? 'Asking the server …' : `None of the newest ${ROWS_KEPT} passes the filter.`;
}

function Toggle({ label, isOn }: { label: string; isOn: Signal<boolean> }): JSX.Element {
  return (
    <button
      type="button"
      aria-pressed={isOn.value}
      onClick={() => {
        isOn.value = !isOn.value;
      }}
    >
      {label}
    </button>
  );
}

/** Adds what the stream tells, unless the list is held. */
function useNewer(rows: Signal<readonly EventRow[]>, isHeld: ReadonlySignal<boolean>): void {
  const { sample, stop } = useMemo(() => sampled(fleet, NEW_EVERY_MS), []);
  // What the stream has told already may be newer than what the records have.
  const last = useSignal<FleetChange | undefined>(undefined);
  const told = useSignal(fleet.peek().at);
  const left = useMemo(() => new AbortController(), []);
  useEffect(() => stop, [stop]);
  useEffect(() => () => left.abort(), [left]);
  const { changes, at } = sample.value;
  const held = isHeld.value;
  const newest = changes.at(-1);
  const add = (newer: readonly EventRow[], known?: ReadonlySet<string>): void => {
    rows.value = withNewer(rows.peek(), newer, known);
  };
  /** Puts what the stream has not kept, or was never told, before what was known then. */
  const fill = async (known: ReadonlySet<string>): Promise<void> => {
    while (!left.signal.aborted) {
      try {
        return add(await loadNewer(known, left.signal), known);
      } catch (error) {
        if (left.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        await wait(RETRY_MS, left.signal);
      }
    }
  };
  useEffect(() => {
    if (held || (newest === last.peek() && at === told.peek())) return;
    const known = new Set(rows.peek().map(keyOf));
    // When all was told at once, nobody told what had happened before.
    const isHole = (at !== told.peek() || isCutOff(changes, last.peek())) && known.size > 0;
    add(changesAfter(changes, last.peek()).toReversed().map(ofChange));
    last.value = newest;
    told.value = at;
    if (isHole) void fill(known);
  }, [changes, newest, at, held, rows, last, told]);
}

/** Adds what happened before, a page at a time. */
function useOlder(rows: Signal<readonly EventRow[]>) {
  const next = useSignal<string | null>('');
  const isLoading = useSignal(false);
  const problem = useSignal<Problem | undefined>(undefined);
  const pages = useSignal(0);
  const isAll = useComputed(() => next.value === null);
  const onEnd = useCallback(async (): Promise<void> => {
    const cursor = next.peek();
    if (cursor === null || isLoading.peek() || rows.peek().length >= ROWS_KEPT) return;
    isLoading.value = true;
    try {
      const page = await loadPage(cursor);
      rows.value = withOlder(rows.peek(), page.rows);
      next.value = page.next;
      pages.value += 1;
      problem.value = undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.value = error.problem;
    } finally {
      isLoading.value = false;
    }
  }, [rows, next, isLoading, problem, pages]);
  return { problem, onEnd, pages, isAll };
}
