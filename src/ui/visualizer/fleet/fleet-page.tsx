import { type Signal, signal, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import type { MachineDrawing } from '../../../machines/drawing.ts';
import { count, duration } from '../../lib/format.ts';
import { fleet } from '../../lib/live.ts';
import { now } from '../../lib/now.ts';
import { Link } from '../../lib/router.tsx';
import type { FleetRow } from '../../lib/types.ts';
import { useSampled } from '../../lib/use-sampled.ts';
import { Age } from '../../parts/age.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import { ExportMenu } from '../export-menu.tsx';
import { Graph } from '../graph/graph.tsx';
import { DARK } from '../graph/lights.ts';
import { StateFacts, UsualTimes } from '../inspector/state-panel.tsx';
import { attentionTo } from './attention.ts';
import { countStates } from './counts.ts';
import { HostChoice } from './host-choice.tsx';
import type { Search } from './search.ts';

const NOTHING_LIT = signal(DARK);
const SAMPLE_MS = 400;
/** Of each list; the others are found by the list's filter. */
const SHOWN_MAX = 25;

/** All sandboxes on one graph: how many are where, and which of them somebody should look at. */
export function FleetPage({
  drawing,
  search,
}: {
  drawing: MachineDrawing;
  search: Signal<Search>;
}): JSX.Element {
  const counts = useCounts(drawing, search);
  const selected = useSignal<string | null>(null);
  // What is chosen in the graph is what the list shows. What was searched for stays until then.
  const last = useRef<string | null>(null);
  useSignalEffect(() => {
    const state = selected.value;
    if (state === last.current) return;
    last.current = state;
    search.value = { ...search.peek(), words: state ?? '' };
  });
  return (
    <div class="actor fleet">
      <header class="actor-head">
        <h1 tabIndex={-1}>Fleet</h1>
        <Total />
        <HostChoice search={search} />
        <ExportMenu kind="sandbox" />
      </header>
      <FleetProblem />
      <div class="actor-graph">
        <Graph drawing={drawing} lights={NOTHING_LIT} counts={counts} selected={selected} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and is moved by the keyboard */}
      <aside class="inspector" aria-label="What needs attention" tabIndex={0}>
        <ChosenState drawing={drawing} selected={selected} />
        <AttentionLists search={search} />
      </aside>
    </div>
  );
}

/** The number of each state in a signal of its own: what did not change is not drawn again. */
function useCounts(drawing: MachineDrawing, search: Signal<Search>): ReadonlyMap<string, Signal<number>> {
  const signals = useMemo(() => new Map(drawing.states.map(({ id }) => [id, signal(0)])), [drawing]);
  const counted = useMemo(() => new Map<string, number>(), []);
  useSignalEffect(() => {
    const { host } = search.value;
    countStates(fleet.value.rows.values(), { host }, counted);
    for (const [id, number] of signals) number.value = counted.get(id) ?? 0;
  });
  return signals;
}

function Total(): JSX.Element {
  const text = useComputed(() => {
    const { rows, truncated } = fleet.value;
    return `${count(rows.size)}${truncated ? ' of more' : ''} sandboxes`;
  });
  return <p class="actor-status mono">{text}</p>;
}

function FleetProblem(): JSX.Element | null {
  const problem = useComputed(() => fleet.value.problem);
  return problem.value && <ProblemNote problem={problem.value} />;
}

function ChosenState({
  drawing,
  selected,
}: {
  drawing: MachineDrawing;
  selected: Signal<string | null>;
}): JSX.Element | null {
  const state = selected.value;
  if (state === null) return null;
  return (
    <section class="panel" data-panel="state" aria-labelledby="state-title">
      <h2 id="state-title">
        State <code>{state}</code>
      </h2>
      <StateFacts drawing={drawing} id={state} />
      <UsualTimes usual={fleet.peek().usual.get(state)} />
    </section>
  );
}

function AttentionLists({ search }: { search: Signal<Search> }): JSX.Element {
  const sample = useSampled(fleet, SAMPLE_MS);
  const attention = useComputed(() => {
    sample.value;
    const { rows, usual } = fleet.peek();
    return attentionTo(rows.values(), usual, now.value, search.value.host);
  });
  const { stuck, retrying, failed } = attention.value;
  const limits = new Map(stuck.map(({ row, limitMs }) => [row.id, limitMs]));
  return (
    <>
      <AttentionList
        name="stuck"
        help="Longer in a step than 99 of 100 were."
        rows={stuck.map(({ row }) => row)}
        search={search}
        note={({ id }) => `usual: up to ${duration(limits.get(id) ?? 0)}`}
      />
      <AttentionList
        name="retrying"
        help="An undo failed and is tried again."
        rows={retrying}
        search={search}
        note={({ tries }) => (tries ? `tries: ${tries}` : '')}
      />
      <AttentionList
        name="failed"
        help="Failed or crashed."
        rows={failed}
        search={search}
        note={({ error_code }) => error_code ?? ''}
      />
    </>
  );
}

function AttentionList({
  name,
  help,
  rows,
  note,
  search,
}: {
  name: 'stuck' | 'retrying' | 'failed';
  help: string;
  rows: readonly FleetRow[];
  note(row: FleetRow): string;
  search: Signal<Search>;
}): JSX.Element {
  return (
    <section class="panel" data-panel={name} aria-labelledby={`${name}-title`}>
      <h2 id={`${name}-title`}>
        {name} <b class="mono">{count(rows.length)}</b>
      </h2>
      {rows.length === 0 && <p class="quiet">{help} None is.</p>}
      <ol class="attention">
        {rows.slice(0, SHOWN_MAX).map((row) => (
          <li key={row.id}>
            <Link href={`/visualizer/sandbox/${row.id}`} class="actor-link">
              <span class="actor-link-id">{row.id}</span>
              <span class="actor-link-line">
                <StateMark state={row.state} />
                <Age at={row.since} />
              </span>
              <span class="actor-link-note cut">{note(row)}</span>
            </Link>
          </li>
        ))}
      </ol>
      {rows.length > SHOWN_MAX && (
        <button
          type="button"
          data-size="row"
          onClick={() => {
            search.value = { ...search.peek(), narrowing: name };
          }}
        >
          All {count(rows.length)} in the list
        </button>
      )}
    </section>
  );
}
