import { computed, useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { fleet } from '../../lib/live.ts';
import { may } from '../../lib/me.ts';
import { location, navigate } from '../../lib/router.tsx';
import { STATE_GROUPS, type StateGroup } from '../../lib/states.ts';
import { useSampled } from '../../lib/use-sampled.ts';
import { LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { columnsOf } from './columns.tsx';
import { CreateForm } from './create-form.tsx';
import { followDetails, hostsMissing, sandboxes, usedBytes } from './details.ts';
import { Readouts } from './readouts.tsx';
import { RowDialogs } from './row-actions.tsx';
import './sandboxes.css';
import { type Filter, type Order, type SortKey, viewOf } from './view.ts';

/** The order of the rows changes at most this often, so that one can aim at a row. */
const ORDER_EVERY_MS = 250;

/** All sandboxes of the team, live. */
export function Sandboxes(): JSX.Element {
  const isCreating = useSignal(location.peek().query.has('template'));
  const order = useSignal<Order>({ key: 'created', isDescending: true });
  const slowFleet = useSampled(fleet, ORDER_EVERY_MS);
  useEffect(followDetails, []);
  const view = useComputed(() =>
    viewOf(
      slowFleet.value.rows.values(),
      { sandboxes: sandboxes.value, usedBytes: usedBytes.value },
      filter.value,
      order.value,
    ),
  );
  const { ids, counts } = view.value;
  const { problem, truncated, at } = fleet.value;
  const sortBy = (key: SortKey): void => {
    const { key: before, isDescending } = order.peek();
    order.value = { key, isDescending: key === before && !isDescending };
  };
  return (
    <section class="page sandboxes-page" data-fill>
      <div class="page-head">
        <h1 tabIndex={-1}>Sandboxes</h1>
        <Search shown={ids.length} />
        {may('write') && (
          <button
            type="button"
            data-look={isCreating.value ? undefined : 'primary'}
            aria-expanded={isCreating.value}
            onClick={() => {
              isCreating.value = !isCreating.value;
            }}
          >
            {isCreating.value ? 'Close the form' : 'New sandbox'}
          </button>
        )}
      </div>
      {isCreating.value && <CreateForm />}
      <Readouts
        counts={counts}
        chosen={filter.value.group}
        onChoose={(group) => setFilter({ group, state: '' })}
      />
      {problem && <ProblemNote problem={problem} />}
      <LongTable
        label="Sandboxes"
        columns={columnsOf(order.value, sortBy)}
        rows={ids}
        keyOf={(id) => id}
        note={noteOf(truncated, hostsMissing.value)}
        asked={JSON.stringify([filter.value, order.value])}
        empty={emptyText(at === null, counts.all)}
      />
      <RowDialogs />
    </section>
  );
}

function noteOf(truncated: boolean, missing: readonly string[]): string {
  return [
    truncated && 'There are more than this page shows.',
    missing.length > 0 && `${missing.join(', ')} did not say what disks take.`,
  ]
    .filter(Boolean)
    .join(' ');
}

function emptyText(isLoading: boolean, all: number): string {
  if (isLoading) return 'Asking the server …';
  return all === 0 ? 'There is no sandbox. “New sandbox” makes one.' : 'No sandbox passes the filter.';
}

/** The filter is part of the address, so that it can be kept and passed on. */
const filter = computed<Filter>(() => {
  const { query } = location.value;
  const group = query.get('group');
  return {
    text: query.get('q') ?? '',
    group: STATE_GROUPS.includes(group as StateGroup) ? (group as StateGroup) : 'all',
    state: query.get('state') ?? '',
  };
});

function setFilter(change: Partial<Filter>): void {
  const { text, group, state } = { ...filter.peek(), ...change };
  const query = new URLSearchParams({
    ...(text && { q: text }),
    ...(group !== 'all' && { group }),
    ...(state && { state }),
  });
  navigate(query.size > 0 ? `/?${query}` : '/', { replace: true });
}

function Search({ shown }: { shown: number }): JSX.Element {
  const { text, group, state } = filter.value;
  const isFiltered = text !== '' || group !== 'all' || state !== '';
  return (
    <search class="sandboxes-search">
      <input
        type="search"
        aria-label="Find by id, state, template, host, error or metadata"
        placeholder="Find id, state, template, host, error, metadata"
        value={text}
        spellcheck={false}
        onInput={(event) => setFilter({ text: event.currentTarget.value })}
      />
      <span class="mono dim" role="status">
        {isFiltered && `${shown} found`}
      </span>
    </search>
  );
}
