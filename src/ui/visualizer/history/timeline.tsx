import { type Signal, useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { count, duration, timeOfDay } from '../../lib/format.ts';
import type { ActorModel } from '../actor/model.ts';
import { WindowedList } from '../windowed-list.tsx';
import { countsOf, FILTERS, type Filter, filtered, type Row } from './rows.ts';
import { Tape } from './tape-view.tsx';

const MARKS: Record<Row['kind'], readonly [string, string]> = {
  transition: ['', ''],
  command: ['▸', 'command'],
  failure: ['✕', 'failed'],
  refusal: ['⊘', 'refused'],
};

/** All that happened to an actor. A click, or the arrow keys, look at a moment of it. */
export function Timeline({ model }: { model: ActorModel }): JSX.Element {
  const filter = useSignal<Filter>('all');
  const rows = useComputed(() => filtered(model.rows.value, filter.value));
  const at = useComputed(() => rows.value.findLastIndex((row) => row.index <= model.index.value));
  return (
    <section class="timeline" aria-label="Timeline">
      <header class="timeline-head">
        <Filters model={model} chosen={filter} />
        <Tape model={model} />
      </header>
      <WindowedList
        class="timeline-rows"
        label="What happened, oldest first"
        id="entry"
        items={rows}
        at={at}
        isAtEnd={model.isLive}
        empty="Nothing of that kind has happened."
        attributes={({ entry, kind, begins }) => ({
          'data-seq': entry.seq,
          'data-kind': kind,
          'data-begins': begins,
        })}
        row={(row) => <TimelineRow row={row} />}
        onChoose={({ index }) => model.goTo(index)}
        onEscape={model.goLive}
      />
    </section>
  );
}

function TimelineRow({ row: { entry, kind, begins, bar, spentMs } }: { row: Row }): JSX.Element {
  const [mark, words] = MARKS[kind];
  return (
    <>
      <span class="timeline-mark">
        <span aria-hidden="true">{mark}</span>
        {words && <span class="visually-hidden">{words}</span>}
      </span>
      <span class="timeline-seq">{entry.seq}</span>
      <time dateTime={entry.at}>{timeOfDay(entry.at)}</time>
      <span class="timeline-cause cut">{entry.refused ?? entry.cause}</span>
      <span class="timeline-way cut">
        {entry.from !== null && entry.refused === null && <span class="timeline-from">{entry.from} → </span>}
        <b>{entry.to}</b>
      </span>
      <span class="timeline-bar" data-rest={begins && spentMs !== null} aria-hidden="true">
        {bar && <span style={{ left: `${bar.from * 100}%`, width: `${(bar.to - bar.from) * 100}%` }} />}
      </span>
      <span class="timeline-spent">{spentMs === null ? '' : duration(spentMs)}</span>
      <Note entry={entry} />
    </>
  );
}

function Note({ entry: { refused, error, step, to } }: Pick<Row, 'entry'>): JSX.Element {
  if (refused !== null) return <span class="timeline-note cut">refused in {to}</span>;
  if (error === null) return <span class="timeline-note cut">{step}</span>;
  return (
    <span class="timeline-note cut" title={[error.detail, ...(error.causes ?? [])].join('\n')}>
      <code>{error.code}</code> {error.detail}
    </span>
  );
}

function Filters({ model, chosen }: { model: ActorModel; chosen: Signal<Filter> }): JSX.Element {
  const counts = useComputed(() => countsOf(model.rows.value));
  return (
    <fieldset class="filters">
      <legend class="visually-hidden">Show</legend>
      {FILTERS.map((filter) => (
        <button
          key={filter}
          type="button"
          aria-pressed={chosen.value === filter}
          onClick={() => {
            chosen.value = filter;
          }}
        >
          {filter} <span class="filters-count">{count(counts.value[filter])}</span>
        </button>
      ))}
    </fieldset>
  );
}
