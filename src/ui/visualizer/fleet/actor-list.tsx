import { type ReadonlySignal, type Signal, useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { count } from '../../lib/format.ts';
import { heldText } from '../../lib/held-rows.ts';
import { fleet } from '../../lib/live.ts';
import { now } from '../../lib/now.ts';
import { Link, location } from '../../lib/router.tsx';
import { useHeldRows } from '../../lib/use-held-rows.ts';
import { useSampled } from '../../lib/use-sampled.ts';
import { Age } from '../../parts/age.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import { type Attention, attentionTo } from './attention.ts';
import { hosts } from './hosts.ts';
import { find, findHosts, type ListedActor, NARROWINGS, type Narrowing, type Search } from './search.ts';

const SAMPLE_MS = 400;

/** All actors that can be looked at: those that a person searches for. */
export function ActorList({ search }: { search: Signal<Search> }): JSX.Element {
  const sample = useSampled(fleet, SAMPLE_MS);
  const attention = useComputed(() => {
    sample.value;
    const { rows, usual } = fleet.peek();
    return attentionTo(rows.values(), usual, now.value, search.value.host);
  });
  const all = useComputed(() => {
    sample.value;
    const { host } = search.value;
    const rows = [...fleet.peek().rows.values()];
    return host === null ? rows.length : rows.filter(({ host_id }) => host_id === host).length;
  });
  const found = useComputed(() => {
    const { rows, usual } = fleet.peek();
    sample.value;
    // What is stuck becomes so by the time alone.
    const atMs = search.value.narrowing === 'stuck' ? now.value : now.peek();
    return find(rows.values(), search.value, usual, atMs);
  });
  const list = useRef<HTMLDivElement>(null);
  const held = useHeldRows(list, found.value.actors, ({ id }) => id, JSON.stringify(search.value));
  const more = [heldText(held), found.value.more > 0 && `and ${count(found.value.more)} more`];
  const foundHosts = useComputed(() => findHosts(hosts.value, search.value));
  return (
    <aside class="actor-list" aria-label="Actors">
      <input
        type="search"
        data-kind="code"
        aria-label="Search for an actor by id, state, host, template or error"
        placeholder="id, state, host, error…"
        value={search.value.words}
        onInput={(event) => {
          search.value = { ...search.peek(), words: event.currentTarget.value };
        }}
      />
      <Narrowings attention={attention} all={all} search={search} />
      <Found actors={foundHosts.value} name="hosts" />
      <div class="actor-found" ref={list}>
        <Found actors={held.rows} name="sandboxes" />
        {found.value.actors.length + foundHosts.value.length === 0 && <p class="empty">No such actor.</p>}
      </div>
      <p class="actor-more quiet">{more.filter(Boolean).join(', ')}</p>
      <Link href="/visualizer/recording" class="button">
        Open a recording
      </Link>
    </aside>
  );
}

function Narrowings({
  attention,
  all,
  search,
}: {
  attention: ReadonlySignal<Attention>;
  all: ReadonlySignal<number>;
  search: Signal<Search>;
}): JSX.Element {
  const { stuck, retrying, failed } = attention.value;
  const counts: Record<Narrowing, number> = {
    all: all.value,
    stuck: stuck.length,
    retrying: retrying.length,
    failed: failed.length,
  };
  return (
    <fieldset class="filters">
      <legend class="visually-hidden">Only those that are</legend>
      {NARROWINGS.map((narrowing) => (
        <button
          key={narrowing}
          type="button"
          aria-pressed={search.value.narrowing === narrowing}
          onClick={() => {
            search.value = { ...search.peek(), narrowing };
          }}
        >
          {narrowing} <span class="filters-count">{count(counts[narrowing])}</span>
        </button>
      ))}
    </fieldset>
  );
}

function Found({
  actors,
  name,
}: {
  actors: readonly ListedActor[];
  name: 'hosts' | 'sandboxes';
}): JSX.Element | null {
  if (actors.length === 0) return null;
  return (
    <ul class={`actor-${name}`} aria-label={name}>
      {actors.map((actor) => (
        <ActorLink key={`${actor.kind} ${actor.id}`} {...actor} />
      ))}
    </ul>
  );
}

/** It is drawn again only when something of it has changed: each is given by itself. */
function ActorLink({ kind, id, state, since, errorCode }: ListedActor): JSX.Element {
  const href = `/visualizer/${kind}/${encodeURIComponent(id)}`;
  return (
    <li>
      <Link href={href} class="actor-link" aria-current={location.value.path === href ? 'page' : undefined}>
        <span class="actor-link-line">
          <span class="actor-link-id">
            {kind !== 'sandbox' && <span class="quiet">{kind} </span>}
            {id}
          </span>
          {kind !== 'sandbox' && <span class="quiet">{state}</span>}
          {errorCode !== null && (
            <code class="actor-link-error cut" title={errorCode}>
              ✕ {errorCode}
            </code>
          )}
        </span>
        {kind === 'sandbox' && (
          <span class="actor-link-line">
            <StateMark state={state} />
            {since !== null && <Age at={since} />}
          </span>
        )}
      </Link>
    </li>
  );
}
