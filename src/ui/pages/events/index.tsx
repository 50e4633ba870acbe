import { type Signal, useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo } from 'preact/hooks';
import { ApiError, type Problem, request } from '../../lib/api.ts';
import { fleet } from '../../lib/live.ts';
import { sampled } from '../../lib/sampled.ts';
import type { EventPage, FleetChange } from '../../lib/types.ts';
import { LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { eventColumns } from './columns.tsx';
import './events.css';
import {
  changesAfter,
  type EventRow,
  keyOf,
  ofChange,
  ofTransition,
  passes,
  withNewer,
  withOlder,
} from './feed.ts';

const PAGE_SIZE = 100;
/** New rows come at most this often, so that one can read. */
const NEW_EVERY_MS = 250;

/** What happens to the sandboxes of the team, live, and what happened before. */
export function Events(): JSX.Element {
  const rows = useSignal<readonly EventRow[]>([]);
  const newCount = useSignal(0);
  const text = useSignal('');
  const isFailed = useSignal(false);
  const isHeld = useSignal(false);
  const { problem, onEnd, isLoading } = useOlder(rows);
  useNewer(rows, newCount, isHeld);
  const shown = useComputed(() => {
    const filter = { text: text.value, isFailed: isFailed.value };
    return rows.value.filter((row) => passes(row, filter));
  });
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
      {problem.value && <ProblemNote problem={problem.value} />}
      <LongTable
        key={`${text.value} ${isFailed.value}`}
        label="Transitions of all sandboxes, newest first"
        columns={eventColumns}
        rows={shown.value}
        keyOf={keyOf}
        rowsBefore={newCount.value}
        onEnd={onEnd}
        empty={isLoading.value ? 'Asking the server …' : 'Nothing has happened that passes the filter.'}
      />
    </section>
  );
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
function useNewer(
  rows: Signal<readonly EventRow[]>,
  newCount: Signal<number>,
  isHeld: Signal<boolean>,
): void {
  const { sample, stop } = useMemo(() => sampled(fleet, NEW_EVERY_MS), []);
  const last = useSignal<FleetChange | undefined>(fleet.peek().changes.at(-1));
  useEffect(() => stop, [stop]);
  const { changes } = sample.value;
  const held = isHeld.value;
  const newest = changes.at(-1);
  useEffect(() => {
    if (held || newest === last.peek()) return;
    const newer = withNewer(rows.peek(), changesAfter(changes, last.peek()).toReversed().map(ofChange));
    newCount.value += newer.length - rows.peek().length;
    rows.value = newer;
    last.value = newest;
  }, [changes, newest, held, rows, newCount, last]);
}

/** Adds what happened before, a page at a time. */
function useOlder(rows: Signal<readonly EventRow[]>) {
  const next = useSignal<string | null>('');
  const isLoading = useSignal(false);
  const problem = useSignal<Problem | undefined>(undefined);
  const onEnd = useCallback(async (): Promise<void> => {
    const before = next.peek();
    if (before === null || isLoading.peek()) return;
    isLoading.value = true;
    try {
      const query = new URLSearchParams({ limit: String(PAGE_SIZE), ...(before && { before }) });
      const page = await request<EventPage>('GET', `/v1/events?${query}`);
      rows.value = withOlder(rows.peek(), page.transitions.map(ofTransition));
      next.value = page.next;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.value = error.problem;
    } finally {
      isLoading.value = false;
    }
  }, [rows, next, isLoading, problem]);
  useEffect(() => void onEnd(), [onEnd]);
  return { problem, onEnd, isLoading };
}
