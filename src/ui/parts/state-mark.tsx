import type { JSX } from 'preact';
import { groupOf, topLevel } from '../lib/states.ts';

/** A state as shape, word and colour: any one of the three is enough to know it. */

/** Within a square of 10 by 10. */
const SHAPES: Record<string, JSX.Element> = {
  running: <circle cx="5" cy="5" r="4" fill="currentColor" />,
  paused: <path d="M2 1h2.2v8H2zM5.8 1H8v8H5.8z" fill="currentColor" />,
  moving: <path d="M2.2 1.2 8.6 5 2.2 8.8z" fill="none" stroke="currentColor" stroke-width="1.4" />,
  failed: <path d="M1.5 1.5l7 7M8.5 1.5l-7 7" stroke="currentColor" stroke-width="2" />,
  stranded: <path d="M5 .8 9.6 9.2H.4z" fill="currentColor" />,
  destroyed: <circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="1.4" />,
};

/** The shape alone, for a full state value or the name of a group. It says nothing to a screen reader. */
export function StateShape({ state }: { state: string }): JSX.Element {
  const top = topLevel(state);
  return (
    <svg class="state-shape" viewBox="0 0 10 10" aria-hidden="true" data-group={groupOf(state)}>
      {SHAPES[top] ?? SHAPES[groupOf(state)]}
    </svg>
  );
}

/** A full state value, such as `pausing.snapshotting`. */
export function StateMark({ state }: { state: string }): JSX.Element {
  const top = topLevel(state);
  return (
    <span class="state-mark" data-group={groupOf(state)}>
      <StateShape state={state} />
      <span class="cut">
        <b>{top}</b>
        {state.slice(top.length)}
      </span>
    </span>
  );
}
