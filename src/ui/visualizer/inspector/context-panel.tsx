import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import type { Moment } from '../../lib/types.ts';
import type { Entries } from '../history/entries.ts';
import { type ContextPlaces, linesInPlaces, notePlaces } from './changes.ts';

/** Newest entries that are looked through for what a context can have. */
const LOOKED_THROUGH = 500;

/** The part of the machine's context that may be shown, and what the transition changed of it. */
export function ContextPanel({
  entries,
  moment,
  before,
}: {
  entries: Entries;
  moment: Moment | null;
  before: Moment | null;
}): JSX.Element {
  const places = usePlaces(entries);
  return (
    <section class="panel" data-panel="context" aria-labelledby="context-title">
      <h2 id="context-title">Context</h2>
      {moment ? (
        <ContextTable places={places} moment={moment} before={before} />
      ) : (
        <p class="quiet">Not recorded for this moment.</p>
      )}
    </section>
  );
}

const SIGNS = { new: '+', changed: '±', gone: '−' } as const;

function ContextTable({
  places,
  moment,
  before,
}: {
  places: ContextPlaces;
  moment: Moment;
  before: Moment | null;
}): JSX.Element {
  return (
    <table class="context">
      <tbody>
        {linesInPlaces(places, moment.context, before?.context ?? null).map(
          ({ path, name, depth, value, change }) => (
            <tr key={path} data-change={change}>
              <td class="context-sign">
                <span aria-hidden="true">{change && SIGNS[change]}</span>
                {change && <span class="visually-hidden">{change}</span>}
              </td>
              <th scope="row" style={{ paddingLeft: `${depth}em` }}>
                {name}
              </th>
              <td>{value}</td>
            </tr>
          ),
        )}
      </tbody>
    </table>
  );
}

/** What a context of this actor can have, as far as the page has seen it. */
function usePlaces(entries: Entries): ContextPlaces {
  const { current: known } = useRef({ places: new Map() as ContextPlaces, seen: new WeakSet<Moment>() });
  for (const { moment } of entries.slice(-LOOKED_THROUGH)) {
    if (!moment || known.seen.has(moment)) continue;
    known.seen.add(moment);
    notePlaces(known.places, moment.context);
  }
  return known.places;
}
